"""The host between the data owner and a group: what it serves, cuts into pieces and listens to."""

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from confidential_summarizer.api.spec import Sidecars
from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.pages import MAX_BYTES, PageClient
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.sealing import create_key_file
from confidential_summarizer.settings import Settings
from confidential_summarizer.targets.derive import derive, measure_images
from confidential_summarizer.targets.target import Derivation
from summarizer.channel import new_channel_key
from tests.support.attested import Attested, at_hand
from tests.support.data_owner import Result, csum
from tests.support.fakes import measured
from tests.support.resources import ATTESTATION, VAULT, resource, spec
from tests.support.tls import Handler, serving, unverified_tls

HOST_DATA = "ab" * 32
SEGMENT = 1400
"""Bytes that one packet of an ordinary network carries."""


class Page:
    """A group's page behind an ordinary network, which keeps what it was sent."""

    def __init__(self, **claims: Any) -> None:
        self.attested = Attested(datetime.now(UTC))
        self.key = new_channel_key()
        self.claims = claims
        self.headers: list[str] = []
        self.encoding = ""

    def body(self, nonce: str) -> bytes:
        evidence = self.attested.evidence(nonce, HOST_DATA, self.key.spki_sha256, padding="x" * 6000, **self.claims)
        return json.dumps(evidence).encode()


@contextmanager
def served(page: Page) -> Iterator[str]:
    class Network(Handler):
        def get(self) -> None:
            page.headers.append(str(self.headers))
            body = page.body(parse_qs(urlsplit(self.path).query).get("nonce", [""])[0])
            self.send_response(200)
            if page.encoding:
                self.send_header("Content-Encoding", page.encoding)
            self.end_headers()
            try:
                for start in range(0, min(len(body), 20 * SEGMENT), SEGMENT):
                    self.wfile.write(body[start : start + SEGMENT])
                    self.wfile.flush()
                    sleep(0.002)
                self.wfile.write(body[20 * SEGMENT :])
            except ConnectionError:
                pass

    with serving(Network, page.key) as served:
        yield served.url


def verified(page: Page, monkeypatch: pytest.MonkeyPatch, *options: object) -> Result:
    """Run `csum verify`; the attestation service is at the page's, the rest is as it is."""
    at_hand(monkeypatch, page.attested)
    with served(page) as url:
        return csum("verify", url, "--host-data", HOST_DATA, "--attestation", ATTESTATION, *options)


def test_evidence_that_arrives_in_pieces_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    result = verified(Page(), monkeypatch)

    assert result.code == 0, result.err


def test_the_operator_reads_evidence_that_arrives_in_pieces() -> None:
    async def asked(address: str) -> object:
        async with PageClient() as pages:
            return await pages.evidence(address, "n")

    with served(Page()) as url:
        assert asyncio.run(asked(url.removeprefix("https://"))) is not None


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    monkeypatch.setattr(page, "body", lambda _nonce: b" " * (2 * MAX_BYTES))

    result = verified(page, monkeypatch)

    assert result.code == 5
    assert f"larger than {MAX_BYTES} bytes" in result.err


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_an_answer_that_inflates_is_refused_before_it_does(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    page.encoding = encoding
    honest = page.body
    monkeypatch.setattr(page, "body", lambda nonce: gzip.compress(honest(nonce)))

    result = verified(page, monkeypatch)

    assert result.code == 5
    assert "compressed" in result.err


def test_an_attestation_service_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page()
    page.encoding = "gzip"
    monkeypatch.setattr(page, "body", lambda _nonce: gzip.compress(b'{"keys": "' + b" " * (8 << 20) + b'"}'))

    async def asked(url: str) -> None:
        service = AttestationService(ATTESTATION)
        service.url = url
        # The host cannot make a certificate of the service; were it one, it still should not fill the memory.
        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", unverified_tls())
        async with service:
            await service.signing_keys()

    with served(page) as url, pytest.raises(SummarizerError, match="compressed"):
        asyncio.run(asked(url))


def test_the_page_never_gets_the_readers_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("readers-secret-token-" + "x" * 32, encoding="utf-8")
    page = Page()

    verified(page, monkeypatch, "--token-file", token)

    assert page.headers
    assert not [headers for headers in page.headers if "readers-secret-token" in headers]


MIRROR = "mirror.corp.example/aci/encfs:2.12"


def derived(**changes: Any) -> Derivation:
    """Derive a policy where the mirror's image is another than Microsoft's."""

    async def measure(reference: str) -> MeasuredImage:
        return measured(reference, layer="2" if reference == MIRROR else "1")

    summarizer = resource(**changes)
    return derive(summarizer, asyncio.run(measure_images(summarizer, measure, {})))


def test_the_operators_settings_cannot_put_a_sidecar_into_a_group_that_the_owner_does_not_derive() -> None:
    mirrored = Settings.from_environment({"CSUM_ENCFS_IMAGE": MIRROR})

    assert mirrored == Settings()


def test_a_mirrored_sidecar_is_named_by_the_resource_and_changes_what_is_approved() -> None:
    assert image_references(resource(sidecars={"encfs": MIRROR}))["encrypted-file-systems"] == MIRROR
    assert derived(sidecars={"encfs": MIRROR}).policy.host_data != derived().policy.host_data
    assert derived(sidecars={"encfs": Sidecars().encfs}).policy.host_data == derived().policy.host_data


ELSEWHERE = [
    "attest.evil.example",
    "169.254.169.254",
    "localhost",
    "kubernetes.default.svc",
    "a0.vault.evil.example",
    "party2.managedhsm.azure.net.evil.example",
    "evil.example/.attest.azure.net",
    "evil.example#.managedhsm.azure.net",
    "sharedeus2.eus2.attest.azure.net\n",
]


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("field", ["vault", "attestation"])
def test_a_resource_cannot_name_a_service_that_is_not_azures(field: str, host: str) -> None:
    (documents,) = spec()["fileSystems"]

    with pytest.raises(SummarizerError, match="must be the host name of"):
        resource(fileSystems=[documents | {"key": documents["key"] | {field: host}}])


@pytest.mark.parametrize("host", ELSEWHERE)
def test_no_command_speaks_to_a_service_that_is_not_azures(host: str, tmp_path: Path) -> None:
    create_key_file(tmp_path / "key", bytes(32))
    bound = ("--key", tmp_path / "key", "--host-data", HOST_DATA, "--attestation")
    for result in (
        csum("verify", "https://page.example", "--host-data", HOST_DATA, "--attestation", host),
        csum("key", "show", "contracts-key", "--vault", host),
        csum("key", "import", "contracts-key", "--vault", host, *bound, ATTESTATION),
        csum("key", "import", "contracts-key", "--vault", VAULT, *bound, host),
    ):
        assert result.code == 3, result.err
        assert "is the host name of no Azure" in result.err


def test_a_blob_that_is_not_in_azure_is_named_neither_by_a_resource_nor_by_a_command(tmp_path: Path) -> None:
    (documents,) = spec()["fileSystems"]
    for url in ("https://evil.example/sealed/a.img", "https://party2.blob.core.windows.net.evil.example/sealed/a.img"):
        with pytest.raises(SummarizerError, match="blobURL must be an https URL of a blob in Azure"):
            resource(fileSystems=[documents | {"blobURL": url}])
        assert csum("purge", url).code == 3


@pytest.mark.parametrize(
    "variable",
    [
        "LD_PRELOAD=/mnt/remote/models/x.so:HOSTNAME=y",
        "PYTHONPATH=/mnt/remote/models:TMP=1",
        "SUMMARIZER_PORT=1",
        "SUMMARIZER_SERVICE_HOST=x",
        "summarizer_fabric_x=1",
        "STREAMLIT_SERVER_PORT=1",
        "LD_PRELOAD=x\nHOSTNAME=y",
    ],
)
def test_no_pattern_of_a_policy_lets_the_host_set_a_variable_of_the_summarizer_in_any_guest(variable: str) -> None:
    for container in parse_policy(derived().policy.text).containers:
        for rule in container.env_rules:
            # As guests before May 2025 did: anywhere in the variable. Theirs and this language's engines agree here.
            assert rule.strategy != "re2" or re.search(rule.pattern, variable) is None
