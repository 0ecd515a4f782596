"""`csum verify` of a page whose group attests with the sandbox's processor and attestation service."""

import asyncio
import base64
import hashlib
import json
import ssl
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from azure_sandbox.attester import Attester
from azure_sandbox.azure.tokens import SigningKey
from azure_sandbox.names import ATTESTATION
from summarizer.channel import new_channel_key
from summarizer.evidence import Attester as GuestAttester
from summarizer.evidence import EvidenceDesk, runtime_data
from tests.support.approving import derived_with
from tests.support.data_owner import SmallAzure, csum
from tests.support.resources import resource
from tests.support.tls import Handler, serving

POLICY = asyncio.run(derived_with("1")(resource())).policy.text.encode()
HOST_DATA = hashlib.sha256(POLICY).hexdigest()


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        yield azure


@pytest.fixture(autouse=True)
def environment(azure, monkeypatch):
    for name, value in azure.state.client_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


class Page:
    """A group's page: the summarizer's own evidence, of the sandbox's processor and attestation service."""

    def __init__(self, azure, *, host_data=HOST_DATA, debug=False):
        self.azure = azure
        self.host_data = bytes.fromhex(host_data)
        self.debug = debug
        self.key = new_channel_key()

    def answer(self, nonce):
        attester = Attester(self.azure.state.home / "azure" / "attester")

        def report(data):
            return attester.report(hashlib.sha256(data).digest().ljust(64, b"\0"), self.host_data, debug=self.debug)

        context = {
            "UVM_HOST_AMD_CERTIFICATE": attester.host_amd_cert_base64,
            "UVM_REFERENCE_INFO": attester.reference_info_base64,
        }
        attest = GuestAttester(report, ATTESTATION, context)
        return EvidenceDesk(attest, self.key.spki_sha256).evidence(nonce).document()


class OldPage(Page):
    """Gives the evidence that it once got for another nonce."""

    def answer(self, nonce):
        return super().answer("A" * 43)


class LyingPage(Page):
    """Puts the new nonce beside the evidence for an old one."""

    def answer(self, nonce):
        return super().answer("A" * 43) | document("", runtime_data(nonce, self.key.spki_sha256), only_data=True)


class ForgingPage(Page):
    """Signs the right claims with a key of its own."""

    def answer(self, nonce):
        honest = super().answer(nonce)
        claims = jwt.decode(honest["token"], options={"verify_signature": False})
        header = jwt.get_unverified_header(honest["token"])
        key = rsa.generate_private_key(65537, 2048)
        return honest | {"token": jwt.encode(claims, key, algorithm="RS256", headers={"kid": header["kid"]})}


class SlowPage(Page):
    """Gives a token that the service signed, and that has expired since."""

    def answer(self, nonce):
        honest = super().answer(nonce)
        claims = jwt.decode(honest["token"], options={"verify_signature": False})
        claims |= {"nbf": time.time() - 7200, "exp": time.time() - 3600}
        key = SigningKey(self.azure.state.home / "azure" / "attestation.pem")
        return honest | {"token": jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.id})}


def document(token, runtime_data, *, only_data=False):
    data = {"runtimeData": base64.b64encode(runtime_data).decode()}
    return data if only_data else {"token": token, **data}


@contextmanager
def served(page):
    class Network(Handler):
        def get(self):
            self.reply(200, page.answer(parse_qs(urlsplit(self.path).query)["nonce"][0]))

    with serving(Network, page.key) as served:
        yield served.url


def verify(url, *options, host_data=HOST_DATA):
    return csum("verify", url, "--host-data", host_data, "--attestation", ATTESTATION, *options, "-o", "json")


def failed(result):
    return [check["name"] for check in result.data["checks"] if not check["passed"]]


def test_the_measured_group_is_accepted_and_its_evidence_kept(azure, tmp_path):
    with served(Page(azure)) as url:
        result = verify(url, "--evidence", tmp_path / "evidence.json")

    assert (result.code, failed(result)) == (0, []), result.err
    kept = json.loads((tmp_path / "evidence.json").read_text())
    assert kept["verified"] is True
    assert kept["claims"]["x-ms-sevsnpvm-hostdata"] == HOST_DATA
    assert kept["evidence"]["token"].count(".") == 2


@pytest.mark.parametrize("form", ["text", "base64"])
def test_the_policy_itself_can_be_given(azure, tmp_path, form):
    (tmp_path / "policy").write_bytes(POLICY if form == "text" else base64.b64encode(POLICY) + b"\n")
    with served(Page(azure)) as url:
        result = csum("verify", url, "--policy", tmp_path / "policy", "--attestation", ATTESTATION)

    assert result.code == 0, result.err
    assert "The group is what was measured" in result.err


@pytest.mark.parametrize(
    ("page", "checks"),
    [
        (OldPage, ["Nonce"]),
        (LyingPage, ["Report data"]),
        (ForgingPage, ["Signature"]),
        (SlowPage, ["Valid now"]),
    ],
)
def test_evidence_that_does_not_hold_is_refused(azure, page, checks):
    with served(page(azure)) as url:
        result = verify(url)

    assert (result.code, failed(result)) == (1, checks)
    assert "NOT what was measured" in result.err


def test_another_policy_is_refused(azure):
    with served(Page(azure, host_data="cd" * 32)) as url:
        result = verify(url)

    assert (result.code, failed(result)) == (1, ["Host-data"])


def test_a_debuggable_group_is_refused_unless_it_is_for_test_data(azure):
    with served(Page(azure, debug=True)) as url:
        assert (verify(url).code, failed(verify(url))) == (1, ["Not debuggable"])
        allowed = verify(url, "--allow-debuggable")

    assert allowed.code == 0
    assert "Warning" in allowed.err


def test_a_page_that_does_not_answer_is_named(azure):
    with served(Page(azure)) as url:
        pass
    result = verify(url)

    assert result.code == 5
    assert "cannot be reached" in result.err


def test_an_unknown_attestation_service_is_not_believed(azure):
    with served(Page(azure)) as url:
        result = csum("verify", url, "--host-data", HOST_DATA, "--attestation", "attest.example.com")

    assert result.code == 3
    assert "no Azure attestation service" in result.err


def test_nothing_to_compare_with_is_no_verification(azure):
    assert csum("verify", "https://example.com", "--attestation", ATTESTATION).code == 2
