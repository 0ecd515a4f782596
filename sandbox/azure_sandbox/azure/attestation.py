"""`*.attest.azure.net`: turns an SEV-SNP report into a signed token (contract of api-version 2020-10-01).

A report is believed when its VCEK chain ends in the sandbox's ARK, the signature, the firmware versions and the chip
match the VCEK, and its report data is the hash of the runtime data. `azure-compliant-uvm` is said only of a launch
measurement that the sandbox's signer endorsed.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from azure_sandbox.amd_chain import chip_of, verify_chain
from azure_sandbox.azure.errors import ServiceError, json_object
from azure_sandbox.azure.tokens import SigningKey
from azure_sandbox.encoding import from_base64, to_base64url
from azure_sandbox.snp_report import MIGRATION_ALLOWED, SMT_ALLOWED, Report, ReportError, Tcb, parse
from azure_sandbox.uvm_endorsement import Endorsement, EndorsementError, verify

API_VERSION = "2020-10-01"
LIFETIME = 8 * 3600
"""Seconds."""

COMPLIANT = "azure-compliant-uvm"

DEFAULT_POLICY = b"version= 1.0;authorizationrules{=> permit();};issuancerules{};"
"""The provider's own attestation policy; only its hash is seen."""


class Attestation:
    """The routes of every attestation provider; the provider's host name is the issuer.

    Args:
        key: Signs the tokens.
        root: The ARK that is trusted.
        uvm_signer: The did:x509 name whose endorsements are trusted.
    """

    def __init__(self, key: SigningKey, root: x509.Certificate, uvm_signer: str) -> None:
        self.key = key
        self.root = root
        self.uvm_signer = uvm_signer

    def application(self) -> web.Application:
        """Return the hosts' application."""
        application = web.Application()
        router = application.router
        router.add_post("/attest/{tee}", self.attest)
        router.add_get("/certs", self.certs)
        router.add_get("/.well-known/openid-configuration", self.configuration)
        return application

    async def attest(self, request: web.Request) -> web.Response:
        """Answer `POST /attest/SevSnpVM`."""
        if request.match_info["tee"].lower() != "sevsnpvm":
            raise ServiceError(400, "InvalidParameter", f"The sandbox does not attest {request.match_info['tee']}.")
        if request.query.get("api-version") != API_VERSION:
            raise ServiceError(400, "InvalidParameter", f"The sandbox knows api-version {API_VERSION} only.")
        body = await json_object(request)
        try:
            claims = self._claims(body)
        except (ReportError, EndorsementError) as error:
            raise ServiceError(400, "AttestationFailed", f"The evidence does not hold: {error}.") from error
        except (LookupError, TypeError, ValueError) as error:
            raise ServiceError(400, "InvalidParameter", "The request does not hold evidence as expected.") from error
        return web.json_response({"token": self.sign(request.host, claims)})

    async def certs(self, _: web.Request) -> web.Response:
        """Answer with the keys that tokens are signed with."""
        return web.json_response({"keys": [self.key.jwk()]})

    async def configuration(self, request: web.Request) -> web.Response:
        """Answer OIDC discovery."""
        issuer = f"https://{request.host}"
        return web.json_response(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/certs",
                "response_types_supported": ["token"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "revoked": False,
            }
        )

    def sign(self, host: str, claims: Mapping[str, Any]) -> str:
        """Return the token of provider `host` that says `claims`."""
        now = int(time.time())
        issuer = f"https://{host}"
        registered = {"iss": issuer, "iat": now, "nbf": now, "exp": now + LIFETIME, "jti": uuid.uuid4().hex}
        headers = {"jku": f"{issuer}/certs", "kid": self.key.id}
        return jwt.encode(registered | dict(claims), self.key.private, algorithm="RS256", headers=headers)

    def _claims(self, body: Mapping[str, Any]) -> dict[str, Any]:
        evidence = json.loads(from_base64(body["report"]))
        runtime_data = from_base64(body["runtimeData"]["data"])
        if not 0 <= body.get("nonce", 0) < 1 << 64:
            raise ValueError("the nonce is not an unsigned 64-bit number")
        report = self._report(evidence)
        if report.report_data != hashlib.sha256(runtime_data).digest() + bytes(32):
            raise ReportError("the report data is not the hash of the runtime data")
        runtime = json.loads(runtime_data) if body["runtimeData"].get("dataType") == "JSON" else {}
        return _report_claims(report, self._endorsement(evidence, report)) | {"x-ms-runtime": runtime}

    def _report(self, evidence: Mapping[str, str]) -> Report:
        chip = verify_chain(from_base64(evidence["VcekCertChain"]), self.root)
        key = chip.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ReportError("the VCEK holds no elliptic-curve key")
        report = parse(from_base64(evidence["SnpReport"]), key)
        tcb, chip_id = chip_of(chip)
        if (Tcb.unpack(report.reported_tcb), report.chip_id) != (tcb, chip_id):
            raise ReportError("the report's firmware versions or chip are not those of the VCEK")
        return report

    def _endorsement(self, evidence: Mapping[str, str], report: Report) -> Endorsement | None:
        if "Endorsements" not in evidence:
            return None
        statements = json.loads(from_base64(evidence["Endorsements"]))["Uvm"]
        endorsement = verify(from_base64(statements[0]), self.uvm_signer)
        if endorsement.measurement.lower() != report.measurement.hex():
            raise EndorsementError("the UVM endorsement is for another launch measurement")
        return endorsement


def _report_claims(report: Report, endorsement: Endorsement | None) -> dict[str, Any]:
    tcb = Tcb.unpack(report.reported_tcb)
    claims: dict[str, Any] = {
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-policy-hash": to_base64url(hashlib.sha256(DEFAULT_POLICY).digest()),
        "x-ms-ver": "1.0",
        "x-ms-sevsnpvm-authorkeydigest": report.author_key_digest.hex(),
        "x-ms-sevsnpvm-bootloader-svn": tcb.bootloader,
        "x-ms-sevsnpvm-familyId": report.family_id.hex(),
        "x-ms-sevsnpvm-guestsvn": report.guest_svn,
        "x-ms-sevsnpvm-hostdata": report.host_data.hex(),
        "x-ms-sevsnpvm-idkeydigest": report.id_key_digest.hex(),
        "x-ms-sevsnpvm-imageId": report.image_id.hex(),
        "x-ms-sevsnpvm-is-debuggable": report.debuggable,
        "x-ms-sevsnpvm-launchmeasurement": report.measurement.hex(),
        "x-ms-sevsnpvm-microcode-svn": tcb.microcode,
        "x-ms-sevsnpvm-migration-allowed": bool(report.policy & MIGRATION_ALLOWED),
        "x-ms-sevsnpvm-reportdata": report.report_data.hex(),
        "x-ms-sevsnpvm-reportid": report.report_id.hex(),
        "x-ms-sevsnpvm-smt-allowed": bool(report.policy & SMT_ALLOWED),
        "x-ms-sevsnpvm-snpfw-svn": tcb.snp,
        "x-ms-sevsnpvm-tee-svn": tcb.tee,
        "x-ms-sevsnpvm-vmpl": report.vmpl,
    }
    if endorsement is not None:
        claims |= {
            "x-ms-compliance-status": COMPLIANT,
            "x-ms-sevsnpvm-uvm-endorsement": {
                "x-ms-sevsnpvm-guestsvn": endorsement.guest_svn,
                "x-ms-sevsnpvm-launchmeasurement": endorsement.measurement,
            },
        }
    return claims
