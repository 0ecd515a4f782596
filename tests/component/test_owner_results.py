"""Results from the group to their owner: Azurite, the group's metadata service, an attested key, `csum results`."""

import asyncio
import json
import ssl
import tempfile
import threading
from pathlib import Path

import aiohttp
import pyrage
import pytest
import yaml
from aiohttp import web
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import BlobServiceClient

from azure_sandbox.attester import Attester
from azure_sandbox.azure.metadata import metadata_application
from azure_sandbox.azure.principals import OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.blobs import Blobs
from azure_sandbox.names import ATTESTATION, BLOB_ACCOUNT, BLOB_HOST, RESULTS, SEALED
from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.sealing import read_manifest
from summarizer.channel import new_channel_key
from summarizer.evidence import EvidenceDesk
from summarizer.jobs import Jobs, Length, Request
from summarizer.output import SealedResults, result_name
from summarizer.progress import Progress, State
from summarizer.settings import DocumentSet, Settings
from summarizer.storage import BlobPrefix
from summarizer.worker import Worker
from tests.support.approving import derived_with
from tests.support.data_owner import Group, SmallAzure, csum
from tests.support.lead_engine import LeadEngine
from tests.support.resources import VAULT, document, resource, spec

pytestmark = pytest.mark.needs("node", "npm")

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = Path(__file__).parents[1] / "data" / "texts"
PREFIX = f"https://{BLOB_HOST}/{RESULTS}/contracts/"
HOST_DATA = "ab" * 32
PLANTED = "The planted merger between Aldous and Brennan closes on the ninth of May at noon."


class GivenUp(BaseException):
    """The group would go on trying; the test does not."""


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        blobs = Blobs(azure.state)
        blobs.up(lambda _line: None)
        yield azure
        blobs.down()


@pytest.fixture(autouse=True)
def environment(azure, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, value in azure.environment(OWNER).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_STORAGE_KEY", raising=False)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
    asyncio.run(make_container(azure))


async def make_container(azure):
    key = AzureNamedKeyCredential(BLOB_ACCOUNT, azure.state.blob_key())
    async with BlobServiceClient(f"https://{BLOB_HOST}", key) as service:
        container = service.get_container_client(RESULTS)
        if not await container.exists():
            await service.create_container(RESULTS)
        async for blob in container.list_blobs():
            await container.delete_blob(blob.name)


@pytest.fixture
def metadata(azure):
    """The metadata services of a group with one identity and of one with two, as in a group at 169.254.169.254."""
    own = azure.state.home / "azure"
    tokens, principals = Tokens(SigningKey(own / "login.pem")), Principals(own / "principals.json")
    certificates = Attester(own / "attester").host_amd_cert_base64
    held = {"one": [principals[SUMMARIZER]], "two": [principals[SUMMARIZER], principals[OWNER]]}
    urls, ready, ended = {}, threading.Event(), threading.Event()

    async def serve():
        runners = []
        for name, identities in held.items():
            application = metadata_application(lambda identities=identities: identities, tokens, certificates)
            runner = web.AppRunner(application)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            urls[name] = f"http://127.0.0.1:{runner.addresses[0][1]}/metadata"
            runners.append(runner)
        ready.set()
        await asyncio.to_thread(ended.wait)
        for runner in runners:
            await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield urls
    ended.set()
    thread.join()


@pytest.fixture
def owner(tmp_path):
    made = csum("results", "new-key", tmp_path / "results.key", "-o", "json")
    assert made.code == 0, made.err
    assert (tmp_path / "results.key").stat().st_mode & 0o777 == 0o600
    return made.data["recipient"]


def desk_of(azure, key, host_data=HOST_DATA):
    """Evidence from the sandbox's attestation service, as a guest with this policy gets it."""

    def attest(data: bytes) -> str:
        async def ask() -> str:
            async with aiohttp.ClientSession(trust_env=True) as session:
                group = Group(azure, bytes.fromhex(host_data))
                group.runtime_data = data
                return await group.token(session)

        return asyncio.run(ask())

    return EvidenceDesk(attest, key.spki_sha256)


def summarize(azure, metadata, recipient, tmp_path, host_data=HOST_DATA, **prefix):
    """Run the workload over two documents, as a group with this policy does; return where it stands."""
    documents = tmp_path / "documents"
    documents.mkdir(exist_ok=True)
    (documents / "planted-merger.txt").write_text(f"{PLANTED} " * 3)
    (documents / "speech.txt").write_text((TEXTS / "lincoln-second-inaugural.txt").read_text())
    key = new_channel_key()
    settings = Settings(
        documents=(DocumentSet(directory=documents, sha256=read_manifest(documents).sha256),),
        models=("bart-demo",),
        models_directory=EXAMPLES / "models",
        max_words=60,
        guard="report",
    )
    blobs = BlobPrefix(PREFIX, metadata=metadata, **prefix)
    progress = Progress()

    def sleep(_seconds: float) -> None:
        if progress.snapshot.state is State.FAILED:
            raise GivenUp(progress.snapshot.reason)

    results = SealedResults(blobs, recipient, key, desk_of(azure, key, host_data))
    jobs = Jobs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("summarizer.models.load_engine", lambda _choice, _files: LeadEngine())
        Worker(settings, progress, jobs, {"documents": results}, sleep=sleep).start()
    if progress.snapshot.state is State.READY:
        assert PLANTED in jobs.results[Request(1, "bart-demo", Length.LONG)].guarded.summary
    return progress.snapshot


def fetch(tmp_path, *options, key="results.key"):
    return csum(
        "results", "fetch", PREFIX, "--identity", tmp_path / key, "--out", tmp_path / "out", "-o", "json", *options
    )  # fmt: skip


TRUSTED = ("--host-data", HOST_DATA, "--attestation", ATTESTATION)


def test_the_owner_fetches_what_the_group_wrote_and_storage_sees_none_of_it(azure, metadata, owner, tmp_path):
    snapshot = summarize(azure, metadata["one"], owner, tmp_path)
    assert snapshot.state is State.READY, snapshot.reason

    listed = csum("results", "list", PREFIX, "-o", "json")
    assert len(listed.data["blobs"]) == 2
    fetched = fetch(tmp_path, *TRUSTED)
    assert (fetched.code, fetched.data["refused"]) == (0, {}), fetched.err
    first, second = sorted(map(Path, fetched.data["written"]))
    assert first.name.endswith("-0001-planted-merger.txt.json")
    assert PLANTED in json.loads(first.read_text())["summary"]
    assert json.loads(second.read_text())["document"] == "speech.txt"
    assert first.stat().st_mode & 0o777 == 0o600

    stored = b"".join(path.read_bytes() for path in azure.state.blobs.rglob("*") if path.is_file())
    assert b"age-encryption.org/v1" in stored
    for planted in (PLANTED.encode(), b"planted", b"Aldous", b"speech.txt"):
        assert planted not in stored


def test_a_second_start_writes_over_the_first_ones_results(azure, metadata, owner, tmp_path):
    for _start in range(2):
        assert summarize(azure, metadata["one"], owner, tmp_path).state is State.READY
    assert len(csum("results", "list", PREFIX, "-o", "json").data["blobs"]) == 2
    assert fetch(tmp_path, *TRUSTED).code == 0


def test_another_key_is_told_as_such_and_nothing_is_written(azure, metadata, owner, tmp_path):
    summarize(azure, metadata["one"], owner, tmp_path)
    assert csum("results", "new-key", tmp_path / "other.key").code == 0
    fetched = fetch(tmp_path, *TRUSTED, key="other.key")
    assert fetched.code == 6
    assert "encrypted to another key" in fetched.err
    assert not (tmp_path / "out").exists()


def test_blobs_of_storage_itself_are_reported_and_never_written(azure, metadata, owner, tmp_path):
    summarize(azure, metadata["one"], owner, tmp_path)
    forger, recipient = BlobPrefix(PREFIX, metadata=metadata["one"]), pyrage.x25519.Recipient.from_str(owner)
    forger.put("notes.txt", b"text")
    forger.put(result_name("c" * 64, 1), b"noise")
    fields = {"contentSHA256": "c" * 64, "number": 2, "document": "../../../../etc/cron.d/x", "summary": "Forged."}
    document = {"format": "confidential-summarizer result 1", "result": json.dumps(fields), "key": "", "signature": ""}
    forger.put(
        result_name("c" * 64, 2), pyrage.encrypt(json.dumps(document | {"evidence": None}).encode(), [recipient])
    )

    fetched = fetch(tmp_path, *TRUSTED)

    assert (fetched.code, len(fetched.data["written"]), len(fetched.data["refused"])) == (6, 2, 3)
    assert "damaged" in fetched.err
    assert "signature is not of the key" in fetched.err
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "out"}

    blind = fetch(tmp_path, "--unverified")
    assert "Nobody checked where these results come from" in blind.err
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "out"}


def test_the_results_of_another_policy_are_refused(azure, metadata, owner, tmp_path):
    summarize(azure, metadata["one"], owner, tmp_path, host_data="cd" * 32)
    fetched = fetch(tmp_path, *TRUSTED)
    assert (fetched.code, fetched.data["written"]) == (6, [])
    assert "Host-data" in fetched.err


def test_what_was_approved_on_this_machine_says_whose_results_they_are(azure, metadata, owner, tmp_path):
    summarize(azure, metadata["one"], owner, tmp_path)
    (documents,) = spec()["fileSystems"]
    documents["contentSHA256"] = read_manifest(tmp_path / "documents").sha256
    documents["output"] = {"blobPrefix": PREFIX, "recipient": owner}
    file = tmp_path / "contracts.yaml"
    file.write_text(yaml.safe_dump(document(fileSystems=[documents])))
    options = (
        "results",
        "fetch",
        file,
        "--identity",
        tmp_path / "results.key",
        "--out",
        tmp_path / "out",
        "-o",
        "json",
    )

    unknown = csum(*options)
    assert unknown.code == 4
    assert "nothing was approved for it on this machine" in unknown.err
    closed = asyncio.run(derived_with("1")(resource())).policy.text
    for host_data, code in (("cd" * 32, 6), (HOST_DATA, 0)):
        approval = Approval("legal/contracts", VAULT, "contracts-key", ATTESTATION, host_data, closed, {}, now())
        Approvals().record(approval)
        assert csum(*options).code == code


def test_nothing_is_fetched_without_saying_of_which_group(owner, tmp_path):
    assert fetch(tmp_path).code == 2
    assert fetch(tmp_path, "--host-data", HOST_DATA).code == 2


def test_a_group_with_two_identities_has_to_say_which(azure, metadata, owner, tmp_path):
    with pytest.raises(GivenUp, match=r"result 1 cannot be written: .*identity.clientID where it has several"):
        summarize(azure, metadata["two"], owner, tmp_path)
    client = Principals(azure.state.home / "azure" / "principals.json")[SUMMARIZER].client_id
    assert summarize(azure, metadata["two"], owner, tmp_path, client_id=client).state is State.READY


def test_a_container_that_is_missing_is_told_by_the_results_number(azure, metadata, owner, tmp_path):
    async def remove():
        key = AzureNamedKeyCredential(BLOB_ACCOUNT, azure.state.blob_key())
        async with BlobServiceClient(f"https://{BLOB_HOST}", key) as service:
            await service.delete_container(RESULTS)

    asyncio.run(remove())
    with pytest.raises(GivenUp, match=r"result 1 cannot be written: storage answered 404 .*make the container"):
        summarize(azure, metadata["one"], owner, tmp_path)


def test_an_identity_without_the_role_on_the_container_is_told_which_one_it_needs(
    azure, metadata, owner, tmp_path, monkeypatch
):
    monkeypatch.setitem(globals(), "PREFIX", f"https://{BLOB_HOST}/{SEALED}/contracts/")
    role = "give the group's identity the role Storage Blob Data Contributor on the container"
    with pytest.raises(GivenUp, match=f"storage answered 403 AuthorizationPermissionMismatch: {role}"):
        summarize(azure, metadata["one"], owner, tmp_path)


def test_a_batch_writes_no_result_twice_and_finds_those_that_are_there(azure, metadata, owner):
    key = new_channel_key()
    blobs = BlobPrefix(PREFIX, metadata=metadata["one"], once=True)
    results = SealedResults(blobs, owner, key, desk_of(azure, key))
    content = "c" * 64
    assert results.finished(content, range(1, 5)) == frozenset()
    for _start in range(2):
        for number in (1, 3):
            results.write(content, number, {"document": f"{number}.txt", "summary": "Short."})
    assert results.finished(content, range(1, 5)) == {1, 3}
    first = csum("results", "list", PREFIX, "-o", "json").data["blobs"]
    results.write(content, 1, {"document": "1.txt", "summary": "Another."})
    assert csum("results", "list", PREFIX, "-o", "json").data["blobs"] == first
