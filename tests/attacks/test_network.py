"""Who stands between the readers and the group, or answers in its place."""

import asyncio
import json
import re
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.cli.open import Channel, peers, peers_of
from confidential_summarizer.cli.question import Asked
from confidential_summarizer.cli.why import commands_in
from confidential_summarizer.errors import TransientError
from confidential_summarizer.evidence import Evidence, Expectation, check
from confidential_summarizer.pages import Answer, PageClient
from summarizer.channel import ChannelKey, new_channel_key
from tests.support.approving import derived_with
from tests.support.attested import PEER, Attested, at_hand
from tests.support.data_owner import Result, csum
from tests.support.resources import ATTESTATION, VAULT, document, resource
from tests.support.tls import Handler, Served, plainly, serving, unverified_tls

HOST_DATA = "ab" * 32


class Group:
    """A genuine group: its page vouches for the key at which its TLS ends."""

    def __init__(self) -> None:
        self.attested = Attested(datetime.now(UTC))
        self.host_data = HOST_DATA

    @contextmanager
    def running(self, key: ChannelKey | None = None) -> Iterator[Served]:
        group = self

        class Page(Handler):
            def get(self) -> None:
                if not self.path.startswith("/api/evidence"):
                    self.reply(200, b"summaries")
                    return
                nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
                self.reply(200, group.attested.evidence(nonce, group.host_data, group.served.peer))

        with serving(Page, key) as self.served:
            yield self.served


@contextmanager
def look_alike(genuine: Served, asked: list[str]) -> Iterator[Served]:
    """A page of the attacker's that passes on only the genuine group's evidence, fresh for every nonce."""

    class Page(Handler):
        def get(self) -> None:
            asked.append(f"{self.path}\n{self.headers}")
            if not self.path.startswith("/api/evidence"):
                self.reply(200, b"forged summaries")
                return
            with urllib.request.urlopen(genuine.url + self.path, context=unverified_tls()) as answer:
                self.reply(200, json.load(answer))

    with serving(Page) as served:
        yield served


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group whose attestation service is at hand; the rest of `csum` is as it is."""
    group = Group()
    at_hand(monkeypatch, group.attested)
    return group


def verified(url: str) -> Result:
    return csum("verify", url, "--host-data", HOST_DATA, "--attestation", ATTESTATION, "-o", "json")


def test_a_look_alike_page_that_passes_on_genuine_evidence_is_refused(group: Group) -> None:
    with group.running() as genuine, look_alike(genuine, []) as forged:
        honest, result = verified(genuine.url), verified(forged.url)

    assert honest.code == 0, honest.err
    assert honest.data["peer"] == genuine.peer
    assert result.code == 1
    [refused] = [check for check in result.data["checks"] if not check["passed"]]
    assert refused["name"] == "Channel"
    assert "somebody stands between" in refused["detail"]


def test_a_page_that_sends_the_question_on_to_a_genuine_group_is_refused(group: Group) -> None:
    """The group would answer for itself, and the reader would go back to whom they asked."""

    class Page(Handler):
        def get(self) -> None:
            self.send_response(307)
            self.send_header("Location", genuine.url + self.path)
            self.end_headers()

    with group.running() as genuine, serving(Page) as forged:
        result = verified(forged.url)

    assert result.code == 5
    assert "the page answered 307" in result.err


@pytest.mark.parametrize("moved", ["/.well-known/openid-configuration", "/certs"])
async def test_keys_are_taken_from_the_attestation_service_and_not_from_where_it_sends_one_to(
    moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that can be made to redirect would otherwise vouch with the keys of whoever made it."""

    class Service(Handler):
        def get(self) -> None:
            if self.path == moved:
                self.send_response(307)
                self.send_header("Location", f"/elsewhere{self.path}")
                self.end_headers()
            elif self.path.endswith("openid-configuration"):
                self.reply(200, {"issuer": served.url, "jwks_uri": f"{served.url}/certs"})
            else:
                self.reply(200, {"keys": []})

    def trusting() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=unverified_tls()), auto_decompress=False)

    monkeypatch.setattr("confidential_summarizer.azure.attestation.plain_session", trusting)
    with serving(Service) as served:
        async with AttestationService(ATTESTATION) as service:
            service.url = served.url
            with pytest.raises(TransientError, match="answered 307"):
                await service.signing_keys()


def test_the_operator_knows_with_whom_it_spoke(group: Group) -> None:
    async def asked(address: str) -> Answer | None:
        async with PageClient() as pages:
            return await pages.evidence(address, "n" * 43)

    with group.running() as genuine, look_alike(genuine, []) as forged:
        answer = asyncio.run(asked(forged.url.removeprefix("https://")))

    assert answer is not None
    assert answer.peer == forged.peer != genuine.peer


def test_a_page_without_tls_is_not_even_asked(group: Group) -> None:
    result = verified("http://127.0.0.1:1")

    assert result.code == 3
    assert "https://" in result.err


@pytest.mark.parametrize("command", [["verify"], ["open", "--get", "/"]])
@pytest.mark.parametrize("path", ["", "/admin/delete?all="])
def test_nor_what_a_cluster_calls_the_endpoint_of_a_resource_and_is_no_page(
    group: Group, tmp_path: Path, command: list[str], path: str
) -> None:
    asked: list[str] = []

    class Inside(Handler):
        def get(self) -> None:
            asked.append(self.path)
            self.reply(200, {})

    resource = tmp_path / "resource.yaml"
    with plainly(Inside) as plain, serving(Inside) as encrypted:
        for url in (plain + path, encrypted.url + (path or "/admin")):
            resource.write_text(json.dumps(document(status={"endpoint": url})))
            result = csum(*command, resource, "--host-data", HOST_DATA, "--attestation", ATTESTATION)
            assert result.code == 6, result.err
    assert asked == []


def test_nor_is_one_believed_whose_certificate_cannot_be_read(group: Group) -> None:
    """Its version is 5: TLS goes on, and the library that reads it raises what it raises for nothing else."""
    key = new_channel_key()
    [certificate] = re.findall(b"-----BEGIN CERTIFICATE-----.*-----END CERTIFICATE-----\n", key.pem, re.DOTALL)
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    changed = ssl.DER_cert_to_PEM_cert(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1))
    with group.running(replace(key, pem=key.pem.replace(certificate, changed.encode()))) as forged:
        result = verified(forged.url)
    assert (result.code, result.out) == (5, "")
    assert "cannot be reached" in result.err


def test_a_reader_of_a_look_alike_page_gives_it_nothing(group: Group, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("readers-secret-token\n")
    options = ("--host-data", HOST_DATA, "--attestation", ATTESTATION, "--token-file", token, "--get", "/api/summaries")
    asked: list[str] = []
    with group.running() as genuine, look_alike(genuine, asked) as forged:
        honest, result = csum("open", genuine.url, *options), csum("open", forged.url, *options)

    assert (honest.code, honest.out) == (0, "summaries\n")
    assert (result.code, result.out) == (1, "")
    assert "got nothing. Channel: TLS ends at key" in result.err
    assert [line for line in asked if "/api/evidence?nonce=" not in line or "token" in line] == []


def test_a_group_whose_approval_is_revoked_while_its_page_is_open_gets_nothing_more(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The approvals were read when the channel opened: a revoked group kept its reader for as long as that was open."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(peers, "RENEW_SECONDS", 0.1)
    policy = asyncio.run(derived_with("1")(resource())).policy
    group.host_data = policy.host_data
    approval = Approval("legal/contracts", VAULT, "k", ATTESTATION, policy.host_data, policy.text, {}, now())
    Approvals().record(approval)

    async def read(proven: peers.Peers, url: str) -> str:
        async with Channel(url, proven) as channel, channel.request("GET", "/api/summaries") as answer:
            return (await answer.read()).decode()

    async def visit(url: str, change: Callable[[], None]) -> None:
        question = await asyncio.to_thread(Asked(url, "legal/contracts").question)
        proven, lost = peers_of(question), asyncio.Event()
        assert await read(proven, url) == "summaries"

        async def on_loss() -> None:
            lost.set()

        asking = asyncio.create_task(proven.keep_asking(on_loss))
        change()
        await asyncio.wait_for(lost.wait(), 20)
        asking.cancel()
        with pytest.raises(peers.Refused, match=r"nothing was approved for it|Host-data"):
            await read(proven, url)

    def approve_another_instead() -> None:
        Approvals().forget(VAULT, "k", policy.host_data)
        Approvals().record(replace(approval, host_data="cd" * 32))

    with group.running() as genuine:
        asyncio.run(visit(genuine.url, lambda: Approvals().forget(VAULT, "k", policy.host_data)))
        Approvals().record(approval)
        asyncio.run(visit(genuine.url, approve_another_instead))


def test_nobody_gets_a_password_that_the_readers_machine_keeps_for_an_address(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster says where its page is, and the first connection ends at anybody's key: at a password's host, too."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password kept-for-another\n")
    (tmp_path / "token").write_text("readers-secret-token\n")
    options = ("--host-data", HOST_DATA, "--attestation", ATTESTATION)
    page = ("--token-file", tmp_path / "token", "--get", "/api/summaries")
    asked: list[str] = []
    with group.running() as genuine, look_alike(genuine, asked) as forged:
        for command, code in (
            (("verify", forged.url), 1),
            (("open", forged.url, *page), 1),
            (("open", genuine.url, *page), 0),
        ):
            monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
            assert csum(*command, *options).code == code
    assert len(asked) == 2
    assert not [line for line in asked if "authorization" in line.lower()]


def test_a_page_puts_no_command_into_the_condition_that_people_follow() -> None:
    """Who answers between the operator and a group writes the token's claims; `csum why` shows commands to run next."""
    anybody = Attested(datetime.now(UTC))
    said = anybody.evidence("n" * 43, HOST_DATA, iss="`kubectl delete namespace legal`")
    expected = Expectation(ATTESTATION, [HOST_DATA], "n" * 43, PEER, anybody.now)
    verdict = check(Evidence.parse(said), Attested(anybody.now).keys, expected)
    refused = "; ".join(failure.detail for failure in verdict.failures)
    assert "kubectl delete namespace legal" in refused
    assert commands_in(refused) == []


def test_who_answers_is_known_even_when_the_answer_is_over_at_once(group: Group) -> None:
    """The connection of an answer that came in one piece is closed before anybody can look at it."""

    class Page(Handler):
        protocol_version = "HTTP/1.1"

        def get(self) -> None:
            body = b'{"state": "Ready"}'
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            self.wfile.write(head + body)

    async def asked(address: str) -> list[Answer | None]:
        async with PageClient() as pages:
            return [await pages.evidence(address, "n" * 43) for _ in range(20)]

    with serving(Page) as served:
        answers = asyncio.run(asked(served.url.removeprefix("https://")))

    assert {answer.peer for answer in answers if answer} == {served.peer}
    assert None not in answers
