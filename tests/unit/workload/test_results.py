"""What the group writes for the owner, against what `csum results` reads: two distributions, one form."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pyrage
import pytest

from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence.result import Origin, Result
from summarizer.channel import new_channel_key
from summarizer.errors import ConfigurationError, EvidenceError, OutputError
from summarizer.evidence import EvidenceDesk
from summarizer.output import SealedResults, result_name
from summarizer.settings import Settings
from summarizer.storage import BlobPrefix
from tests.support.attested import Attested
from tests.support.resources import ATTESTATION
from tests.support.tls import Handler, plainly

CONTENT, HOST_DATA = "c" * 64, "ab" * 32
SECRET = "The secret merger closes on Friday."
OWNER = pyrage.x25519.Identity.generate()


class Written(dict):
    """Blobs by name."""

    def put(self, name: str, data: bytes) -> None:
        self[name] = data


class Desk(EvidenceDesk):
    """Evidence of one group, as its page would give it."""

    def __init__(self, attested: Attested, spki: str, host_data: str = HOST_DATA, **claims) -> None:
        def attest(data: bytes) -> str:
            nonce = json.loads(data)["nonce"]
            return attested.evidence(nonce, host_data, spki, **claims)["token"]

        super().__init__(attest, spki)


@pytest.fixture(scope="module")
def attested() -> Attested:
    return Attested(datetime(2026, 1, 1, tzinfo=UTC))


def written(attested: Attested, key=None, desk=None, host_data: str = HOST_DATA, **claims) -> Written:
    key = key or new_channel_key()
    blobs = Written()
    desk = desk or Desk(attested, key.spki_sha256, host_data, **claims)
    SealedResults(blobs, str(OWNER.to_public()), key, desk).write(CONTENT, 3, {"summary": SECRET, "document": "a.txt"})
    return blobs


def origin(attested: Attested) -> Origin:
    return Origin(ATTESTATION, (HOST_DATA,), attested.keys)


def test_the_owner_reads_what_the_group_wrote_long_after_its_evidence_ended(attested: Attested) -> None:
    ((name, blob),) = written(attested).items()
    result = Result.open(blob, [OWNER])
    result.check(name, origin(attested))
    assert (result.fields["number"], result.fields["summary"], result.fields["document"]) == (3, SECRET, "a.txt")


def test_neither_text_nor_name_is_seen_in_storage(attested: Attested) -> None:
    ((name, blob),) = written(attested).items()
    assert SECRET.encode() not in blob
    assert b"a.txt" not in blob
    assert name == result_name(CONTENT, 3)


def test_the_same_result_has_the_same_name_at_each_start_and_no_other_has(attested: Attested) -> None:
    assert written(attested).keys() == written(attested).keys()
    assert len({result_name(CONTENT, 3), result_name(CONTENT, 4), result_name("d" * 64, 3)}) == 3


def test_a_group_without_evidence_writes_nothing(attested: Attested) -> None:
    def refuse(_data: bytes) -> str:
        raise EvidenceError("no sidecar")

    with pytest.raises(OutputError, match="result 3 has no evidence"):
        written(attested, desk=EvidenceDesk(refuse, "ee" * 32))


def test_another_key_is_told_apart_from_damage(attested: Attested) -> None:
    (blob,) = written(attested).values()
    with pytest.raises(IntegrityError, match="encrypted to another key"):
        Result.open(blob, [pyrage.x25519.Identity.generate()])
    for damaged in (blob[:-1], blob[:-1] + bytes([blob[-1] ^ 1]), b"", b"age", blob[50:]):
        with pytest.raises(IntegrityError, match="no file of age, or damaged"):
            Result.open(damaged, [OWNER])


@pytest.mark.parametrize("inside", [b"", b"null", b"[]", b"{}", b"[" * 100_000, b'{"format": "other", "result": "{}"}'])
def test_what_is_no_result_inside_is_refused(inside: bytes) -> None:
    with pytest.raises(IntegrityError, match="no result of a summarizer"):
        Result.open(pyrage.encrypt(inside, [OWNER.to_public()]), [OWNER])


def test_a_recipient_that_is_none_ends_the_start() -> None:
    pinned = {"directory": "/d", "sha256": "a" * 64, "output": "https://a.blob.core.windows.net/c/p/"}

    def settings(**documents: str) -> Settings:
        return Settings.from_environment({"SUMMARIZER_DOCUMENTS": json.dumps([documents]), "SUMMARIZER_MODELS": "m"})

    with pytest.raises(ConfigurationError, match="output and recipient belong together"):
        settings(**pinned)
    with pytest.raises(ConfigurationError, match="age public key"):
        settings(**pinned, recipient=str(OWNER.to_public())[:-1] + "q")
    assert settings(**pinned, recipient=str(OWNER.to_public())).documents[0].recipient == str(OWNER.to_public())
    del pinned["sha256"]
    with pytest.raises(ConfigurationError, match="pinned or signed"):
        settings(**pinned, recipient=str(OWNER.to_public()))


class Listing(BlobPrefix):
    """Storage that lists its blobs in two pages, and takes a blob only where there is none."""

    pages = (
        "<Blobs><Blob><Name>archive/a.age</Name></Blob><Blob><Name>archive/b&amp;c.age</Name></Blob></Blobs>"
        "<NextMarker>2!8&amp;</NextMarker>",
        "<Blobs><Blob><Name>archive/d.age</Name></Blob></Blobs><NextMarker />",
    )

    def _ask(self, url: str, headers, data=None) -> bytes:
        base, _, query = url.partition("?")
        assert base == "https://party2.blob.core.windows.net/results"
        asked = dict(parse_qsl(query))
        assert (asked["comp"], asked["prefix"]) == ("list", "archive/")
        return self.pages[1 if asked.get("marker") == "2!8&" else 0].encode()


def test_what_is_there_is_listed_to_its_last_page() -> None:
    names = Listing("https://party2.blob.core.windows.net/results/archive/").names()
    assert names == {"a.age", "b&c.age", "d.age"}


def test_the_metadata_service_is_asked_by_the_machine_itself_whatever_proxy_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy would see the group's token for storage, and could give it one of its own."""
    proxied: list[str] = []

    class Metadata(Handler):
        def get(self) -> None:
            self.reply(200, {"access_token": "genuine", "expires_in": "3600"})

    class Proxy(Handler):
        def get(self) -> None:
            proxied.append(self.path)
            self.reply(200, {"access_token": "theirs", "expires_in": "3600"})

    with plainly(Metadata) as metadata, plainly(Proxy) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(OutputError, match="storage does not answer"):
            BlobPrefix("https://127.0.0.1:9/c/", metadata=metadata).put("a", b"")
    assert proxied == []


def test_the_groups_token_follows_no_redirect_to_another_host() -> None:
    seen: list[str | None] = []

    class Metadata(Handler):
        def get(self) -> None:
            self.reply(200, {"access_token": "the group's", "expires_in": "3600"})

    class Elsewhere(Handler):
        def get(self) -> None:
            seen.append(self.headers["Authorization"])
            self.reply(200, {})

    with plainly(Metadata) as metadata, plainly(Elsewhere) as elsewhere:

        class Storage(Handler):
            def get(self) -> None:
                self.send_response(302)
                self.send_header("Location", f"{elsewhere}/")
                self.end_headers()

        with plainly(Storage) as storage, pytest.raises(OutputError, match="storage answered 302"):
            BlobPrefix(f"{storage}/results/archive/", metadata=metadata).names()
    assert seen == []
