"""From a report to a token: Microsoft Azure Attestation, `POST /attest/SevSnpVM`, api-version 2020-10-01.

Sources: the service's REST contract; how Microsoft's sidecars ask (confidential-sidecar-containers, pkg/attest).
"""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from summarizer.errors import EvidenceError

_API: Final = "/attest/SevSnpVM?api-version=2020-10-01"
# Where the host tells a guest of its processor's certificates (THIM), if the security context does not.
_CERTIFICATES: Final = "http://169.254.169.254/metadata/THIM/amd/certification"
_TIMEOUT_SECONDS: Final = 60
_CHUNK: Final = 1 << 16
# A token has some kilobytes; the service cuts its own answers there.
_MAX_ANSWER: Final = 1 << 20


@dataclass(frozen=True)
class Endorsements:
    """What others say of this guest.

    Attributes:
        certificates: PEM of the processor's certificate (VCEK) and its authorities, leaf first.
        utility_vm: Microsoft's signed statement about the guest's firmware and kernel (COSE_Sign1); empty if none.
    """

    certificates: bytes
    utility_vm: bytes

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> "Endorsements":
        """Read the security context, which the guest's agent puts into every container (UVM_SECURITY_CONTEXT_DIR).

        Raises:
            EvidenceError: It is missing or damaged.
        """
        host = _context_file(environment, "host-amd-cert-base64", "UVM_HOST_AMD_CERTIFICATE")
        try:
            document = json.loads(host) if host else _from_host()
            certificates = f"{document['vcekCert']}{document['certificateChain']}".encode()
        except (ValueError, KeyError, TypeError):
            raise EvidenceError("the certificates of this processor are not the document that they should be") from None
        return cls(certificates, _context_file(environment, "reference-info-base64", "UVM_REFERENCE_INFO"))


def token(authority: str, report: bytes, endorsements: Endorsements, runtime_data: bytes) -> str:
    """Return the service's token for a report.

    Args:
        authority: Host name of the service.
        report: The processor's.
        endorsements: What proves it.
        runtime_data: The JSON whose SHA-256 is in the report.

    Raises:
        EvidenceError: The service does not believe it, or does not answer.
    """
    evidence = {"SnpReport": _base64(report), "VcekCertChain": _base64(endorsements.certificates)}
    if endorsements.utility_vm:
        evidence["Endorsements"] = _base64(_json({"Uvm": [_base64(endorsements.utility_vm)]}))
    body = {
        "report": _base64(_json(evidence)),
        "runtimeData": {"data": _base64(runtime_data), "dataType": "JSON"},
    }
    answer = _ask(f"https://{authority}{_API}", f"the attestation service {authority}", _json(body))
    found = answer.get("token")
    if not isinstance(found, str) or not found:
        raise EvidenceError(f"the attestation service {authority} gave no token")
    return found


def _context_file(environment: Mapping[str, str], name: str, variable: str) -> bytes:
    text = environment.get(variable, "")
    try:
        if folder := environment.get("UVM_SECURITY_CONTEXT_DIR"):
            path = Path(folder) / name
            text = path.read_text(encoding="ascii") if path.exists() else ""
        return base64.b64decode("".join(text.split()), validate=True)
    except (OSError, ValueError):
        raise EvidenceError(f"{name} of the guest's security context cannot be read") from None


def _from_host() -> dict[str, Any]:
    return _ask(_CERTIFICATES, "the host's certificate service", None, {"Metadata": "true"})


def _ask(url: str, who: str, body: bytes | None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    # Nothing secret goes there, and a token is believed for the service's signature on it, by whoever asked for it. So
    # no certificate has to be checked, and the image needs no authorities that could be out of date.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    sent = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, body, sent)  # noqa: S310  https, or the host's own address
    ends = time.monotonic() + _TIMEOUT_SECONDS
    answer = b""
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            while chunk := response.read1(_CHUNK):
                answer += chunk
                if len(answer) > _MAX_ANSWER or time.monotonic() > ends:
                    raise EvidenceError(f"{who} answers without end")
        document = json.loads(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise EvidenceError(f"{who} answered {error.code}: {_explanation(error.read(_CHUNK))}") from None
    except OSError as error:
        raise EvidenceError(f"{who} cannot be reached: {getattr(error, 'reason', error)}") from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise EvidenceError(f"{who} answered no JSON object")
    return document


def _explanation(body: bytes) -> str:
    """The service's own words, printable and short."""
    try:
        text = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = body.decode(errors="replace")
    return "".join(character for character in " ".join(text.split()) if character.isprintable())[:300]


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _base64(data: bytes) -> str:
    """URL-safe and padded, as the service takes it."""
    return base64.urlsafe_b64encode(data).decode()
