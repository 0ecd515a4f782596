import base64
import hashlib
import json

import jwt
import pytest

from azure_sandbox.attester import MEASUREMENT, Attester
from azure_sandbox.azure.tokens import SigningKey
from azure_sandbox.uvm_endorsement import UvmSigner

HOST = "sharedeus2.eus2.attest.azure.net"
RUNTIME = b'{"keys":[{"kty":"RSA","key_ops":["encrypt"],"e":"AQAB","n":"AQ"}]}'
HOST_DATA = hashlib.sha256(b"package policy\n").digest()


def b64u(data):
    return base64.urlsafe_b64encode(data).decode()


@pytest.fixture
def attester(azure, state):
    return Attester(state.home / "azure" / "attester")


def report_data(runtime=RUNTIME):
    return hashlib.sha256(runtime).digest() + bytes(32)


def request(attester, *, report=None, chain=None, endorsement=None, runtime=RUNTIME, nonce=2**64 - 1):
    certificates = json.loads(base64.b64decode(attester.host_amd_cert_base64))
    endorsement = base64.b64decode(attester.reference_info_base64) if endorsement is None else endorsement
    evidence = {
        "SnpReport": b64u(report or attester.report(report_data(), HOST_DATA)),
        "VcekCertChain": b64u((chain or certificates["vcekCert"] + certificates["certificateChain"]).encode()),
    }
    if endorsement:
        evidence["Endorsements"] = b64u(json.dumps({"Uvm": [b64u(endorsement)]}).encode())
    return {
        "report": b64u(json.dumps(evidence).encode()),
        "runtimeData": {"data": b64u(runtime), "dataType": "JSON"},
        "initTimeData": {"data": "", "dataType": ""},
        "nonce": nonce,
    }


async def attest(azure, body):
    return await azure.call("POST", HOST, "/attest/SevSnpVM?api-version=2020-10-01", json=body)


async def claims_of(azure, body):
    answer, content = await attest(azure, body)
    assert answer.status == 200, content
    _, configuration = await azure.call("GET", HOST, "/.well-known/openid-configuration")
    _, keys = await azure.call("GET", HOST, configuration["jwks_uri"].removeprefix(f"https://{HOST}"))
    header = jwt.get_unverified_header(content["token"])
    key = next(jwt.PyJWK(one) for one in keys["keys"] if one["kid"] == header["kid"])
    assert header["jku"] == f"https://{HOST}/certs"
    return jwt.decode(content["token"], key, algorithms=["RS256"], issuer=configuration["issuer"])


async def test_a_good_report_becomes_a_token_with_what_it_says(azure, attester):
    claims = await claims_of(azure, request(attester))
    assert claims["iss"] == f"https://{HOST}"
    assert claims["exp"] - claims["iat"] == 8 * 3600
    assert claims["x-ms-attestation-type"] == "sevsnpvm"
    assert claims["x-ms-compliance-status"] == "azure-compliant-uvm"
    assert claims["x-ms-sevsnpvm-hostdata"] == HOST_DATA.hex()
    assert claims["x-ms-sevsnpvm-is-debuggable"] is False
    assert claims["x-ms-sevsnpvm-launchmeasurement"] == MEASUREMENT.hex()
    assert claims["x-ms-sevsnpvm-reportdata"] == report_data().hex()
    assert (claims["x-ms-sevsnpvm-vmpl"], claims["x-ms-sevsnpvm-snpfw-svn"]) == (0, 24)
    assert claims["x-ms-runtime"] == json.loads(RUNTIME)


async def test_a_debuggable_guest_is_called_so(azure, attester):
    body = request(attester, report=attester.report(report_data(), HOST_DATA, debug=True))
    assert (await claims_of(azure, body))["x-ms-sevsnpvm-is-debuggable"] is True


async def test_without_an_endorsement_the_guest_is_not_called_compliant(azure, attester):
    assert "x-ms-compliance-status" not in await claims_of(azure, request(attester, endorsement=b""))


def changed(octets, position):
    return octets[:position] + bytes([octets[position] ^ 1]) + octets[position + 1 :]


@pytest.mark.parametrize("position", [0, 8, 80, 144, 192, 384, 416, 672, 744])
async def test_a_changed_report_is_refused_wherever_it_was_changed(azure, attester, position):
    report = changed(attester.report(report_data(), HOST_DATA), position)
    answer, content = await attest(azure, request(attester, report=report))
    assert (answer.status, content["error"]["code"]) == (400, "AttestationFailed")


async def test_runtime_data_that_the_report_does_not_hash_is_refused(azure, attester):
    answer, _ = await attest(azure, request(attester, runtime=RUNTIME + b" "))
    assert answer.status == 400


async def test_a_report_of_another_chip_is_refused(azure, attester, tmp_path):
    other = Attester(tmp_path)
    answer, content = await attest(azure, request(other))
    assert answer.status == 400
    assert "ARK" in content["error"]["message"]
    answer, _ = await attest(azure, request(attester, report=other.report(report_data(), HOST_DATA)))
    assert answer.status == 400


async def test_an_incomplete_or_reordered_chain_is_refused(azure, attester):
    chain = attester.chain.chip_pem + attester.chain.authorities_pem
    for broken in (attester.chain.chip_pem, attester.chain.authorities_pem + attester.chain.chip_pem, chain + chain):
        answer, _ = await attest(azure, request(attester, chain=broken))
        assert answer.status == 400


async def test_an_endorsement_of_another_signer_or_measurement_is_refused(azure, attester, tmp_path):
    for endorsement in (
        UvmSigner(tmp_path / "uvm.pem").endorse(MEASUREMENT, 1),
        attester.uvm_signer.endorse(bytes(48), 1),
        b"no cbor",
    ):
        answer, _ = await attest(azure, request(attester, endorsement=endorsement))
        assert answer.status == 400


async def test_a_nonce_beyond_64_bits_is_refused(azure, attester):
    answer, _ = await attest(azure, request(attester, nonce=2**64))
    assert answer.status == 400


@pytest.mark.parametrize("body", [{}, {"report": 1}, {"report": "AA==", "runtimeData": {}}])
async def test_a_malformed_request_is_a_bad_one(azure, body):
    answer, _ = await attest(azure, body)
    assert answer.status == 400


async def test_the_token_is_signed_by_the_services_own_key(azure, attester, state):
    _, content = await attest(azure, request(attester))
    jwt.decode(content["token"], SigningKey(state.home / "azure" / "attestation.pem").public, algorithms=["RS256"])
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(content["token"], SigningKey(state.home / "azure" / "login.pem").public, algorithms=["RS256"])
