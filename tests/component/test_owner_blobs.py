"""`csum seal`, `push`, `purge` against Azurite, signed in, with the account key and with a SAS."""

import asyncio
import hashlib
import json
import shutil
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from yarl import URL

from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.blobs import Blobs
from azure_sandbox.names import ATTESTATION, BLOB_ACCOUNT, BLOB_HOST, RESULTS, VAULT
from confidential_summarizer.azure import upload
from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import SealedBlob
from confidential_summarizer.errors import TransientError
from confidential_summarizer.sealing import unseal
from tests.support.data_owner import SmallAzure, csum, fill
from tests.support.forged_images import swap_content

pytestmark = pytest.mark.needs("node", "npm")

CONTAINER = "sealed"
TEXT = b"The parties agree that this sentence stays between them. " * 200


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        blobs = Blobs(azure.state)
        blobs.up(lambda _line: None)
        yield azure
        blobs.down()


@pytest.fixture(autouse=True)
def environment(azure, monkeypatch, tmp_path):
    for name, value in azure.environment(OWNER).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_STORAGE_KEY", raising=False)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
    asyncio.run(make_container(azure))


async def make_container(azure):
    async with BlobServiceClient(f"https://{BLOB_HOST}", account_key(azure)) as service:
        if not await service.get_container_client(CONTAINER).exists():
            await service.create_container(CONTAINER)


def account_key(azure):
    return AzureNamedKeyCredential(BLOB_ACCOUNT, azure.state.blob_key())


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("owner")
    fill(directory / "documents", TEXT)
    result = csum("seal", directory / "documents", "--out", directory / "documents.img", "-o", "json")
    assert result.code == 0, result.err
    return directory / "documents.img"


def url(name):
    return f"https://{BLOB_HOST}/{CONTAINER}/{name}"


async def content(azure, name):
    async with BlobClient.from_blob_url(url(name), account_key(azure)) as blob:
        return await (await blob.download_blob()).readall()


def test_a_pushed_image_arrives_byte_for_byte(azure, sealed):
    name = "bytes.img"

    result = csum("push", sealed, url(name), "-o", "json")

    assert result.code == 0, result.err
    digest = hashlib.sha256(sealed.read_bytes()).hexdigest()
    assert (result.data["url"], result.data["sha256"], result.data["size"]) == (
        url(name),
        digest,
        sealed.stat().st_size,
    )
    assert result.data["contentSHA256"] == json.loads(Path(f"{sealed}.json").read_text())["contentSHA256"]
    assert hashlib.sha256(asyncio.run(content(azure, name))).hexdigest() == digest


def test_an_owner_looks_at_the_live_blob_without_downloading_it(sealed, tmp_path):
    assert csum("push", sealed, url("live.img")).code == 0
    local, live = csum("inspect", sealed, "-o", "json").data, csum("inspect", url("live.img"), "-o", "json")
    assert live.code == 0, live.err
    assert {name: live.data[name] for name in local} == local

    swapped, forged = tmp_path / "swapped.img", fill(tmp_path / "forged", b"forged")
    shutil.copy(sealed, swapped)
    swap_content(swapped, forged)
    assert csum("push", swapped, url("live.img"), "--overwrite").code == 0
    live = csum("inspect", url("live.img"), "-o", "json")
    assert (live.code, live.data["obstacles"]) == (1, ["the cipher is cipher_null-ecb, not aes-xts-plain64"])
    assert csum("inspect", url("none.img")).code == 4
    assert csum("inspect", url("live.img"), "--key", "k").code == 2


def test_pushing_the_same_image_again_sends_nothing(sealed):
    first = csum("push", sealed, url("again.img"), "-o", "json")
    second = csum("push", sealed, url("again.img"), "-o", "json")

    assert (second.code, second.data) == (0, first.data)


def test_another_image_needs_to_be_told_to_overwrite(sealed, tmp_path):
    other = tmp_path / "other.img"
    fill(tmp_path / "d", b"other")
    assert csum("seal", tmp_path / "d", "--out", other).code == 0
    assert csum("push", sealed, url("taken.img")).code == 0

    refused = csum("push", other, url("taken.img"))
    assert refused.code == 3
    assert "--overwrite" in refused.err
    assert csum("push", other, url("taken.img"), "--overwrite").code == 0


def test_a_page_blob_of_this_name_is_replaced_when_told_to(azure, sealed):
    async def make():
        async with BlobClient.from_blob_url(url("pages.img"), account_key(azure)) as blob:
            await blob.create_page_blob(4096)

    asyncio.run(make())
    assert csum("push", sealed, url("pages.img")).code == 3
    assert csum("push", sealed, url("pages.img"), "--overwrite").code == 0
    assert asyncio.run(content(azure, "pages.img")) == sealed.read_bytes()


def test_an_interrupted_push_goes_on_where_it_ended(azure, sealed, monkeypatch):
    """The connection breaks after some pieces; the next push sends only the others, and the blob is whole."""
    real, calls, staged = upload.BlockUpload._send, [], []

    async def breaking(self, offset, data):
        calls.append(offset)
        if len(calls) > 2:
            raise TransientError("the line broke")
        await real(self, offset, data)

    original = BlobClient.stage_block

    async def stage(self, block_id, *arguments, **options):
        staged.append(block_id)
        return await original(self, block_id, *arguments, **options)

    monkeypatch.setattr(upload, "PARALLEL", 1)
    monkeypatch.setattr(upload.BlockUpload, "_send", breaking)
    with pytest.raises(TransientError):
        asyncio.run(push(azure, "resumed.img", sealed))
    monkeypatch.setattr(upload.BlockUpload, "_send", real)
    monkeypatch.setattr(BlobClient, "stage_block", stage)

    state = asyncio.run(push(azure, "resumed.img", sealed))

    pieces = -(-sealed.stat().st_size // upload.PIECE)
    assert len(staged) < pieces
    assert state.sha256 == hashlib.sha256(sealed.read_bytes()).hexdigest()
    assert asyncio.run(content(azure, "resumed.img")) == sealed.read_bytes()


async def push(azure, name, image):
    async with SealedBlob(BlobURL.parse(url(name)), account_key(azure)) as blob:
        return await blob.push(image)


def test_the_account_key_comes_from_a_file_or_the_environment(azure, sealed, tmp_path, monkeypatch):
    (tmp_path / "account").write_text(azure.state.blob_key() + "\n")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)

    assert csum("push", sealed, url("by-file.img"), "--account-key-file", tmp_path / "account").code == 0
    monkeypatch.setenv("AZURE_STORAGE_KEY", azure.state.blob_key())
    assert csum("push", sealed, url("by-environment.img")).code == 0


def test_a_shared_url_lets_its_holder_read_and_not_write(azure, sealed, tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_KEY", azure.state.blob_key())
    result = csum("push", sealed, url("shared.img"), "--sas", "12h", "-o", "json")
    assert result.code == 0, result.err
    shared = result.data["sharedURL"]
    monkeypatch.delenv("AZURE_STORAGE_KEY")

    async def get():
        async with aiohttp.ClientSession(trust_env=True) as session, session.get(URL(shared, encoded=True)) as answer:
            return answer.status, await answer.read()

    status, body = asyncio.run(get())
    assert status == 200, body
    assert body == sealed.read_bytes()
    assert csum("seal", fill(tmp_path / "d", b"other"), "--out", tmp_path / "other.img").code == 0
    refused = csum("push", tmp_path / "other.img", shared, "--overwrite")
    assert refused.code == 4, refused.err
    assert "sig=" not in refused.err + refused.out


def test_a_signed_in_owner_shares_without_the_account_key(sealed):
    """Azurite's check of such a signature is older than the SDK's format, so that only the request for it is proven."""
    shared = csum("push", sealed, url("delegated.img"), "--sas", "30m", "-o", "json").data["sharedURL"]

    query = URL(shared, encoded=True).query
    assert (query["sp"], query["sks"], query["spr"], query["sr"]) == ("r", "b", "https", "b")
    lasts = datetime.fromisoformat(query["se"]) - datetime.now(UTC)
    assert timedelta(minutes=25) < lasts <= timedelta(minutes=30)


class Caller:
    """Asks storage as a principal with the tenant's own tokens."""

    def __init__(self, azure, who, audience="https://storage.azure.com"):
        own = azure.state.home / "azure"
        principal = Principals(own / "principals.json")[who]
        token = Tokens(SigningKey(own / "login.pem")).issue(principal, audience).value
        self.object_id = principal.object_id
        self.headers = {"x-ms-version": "2021-12-02", "Authorization": f"Bearer {token}"}

    def __call__(self, method, address, **headers):
        """Return status and error code."""

        async def ask():
            async with (
                aiohttp.ClientSession(trust_env=True) as session,
                session.request(method, URL(address, encoded=True), headers={**self.headers, **headers}) as answer,
            ):
                return answer.status, answer.headers.get("x-ms-error-code")

        return asyncio.run(ask())


MISMATCH = (403, "AuthorizationPermissionMismatch")


def test_an_identity_does_with_blobs_what_its_roles_on_their_container_say(azure, sealed):
    assert csum("push", sealed, url("roles.img")).code == 0
    group, results = Caller(azure, SUMMARIZER), f"https://{BLOB_HOST}/{RESULTS}"
    block = {"x-ms-blob-type": "BlockBlob"}
    assert group("GET", url("roles.img")) == (200, None)
    assert group("GET", f"https://{BLOB_HOST}/{CONTAINER}?restype=container&comp=list") == (200, None)
    assert group("PUT", url("roles.img"), **block) == MISMATCH
    assert group("DELETE", url("roles.img")) == MISMATCH
    assert Caller(azure, OWNER)("PUT", f"{results}?restype=container") == (201, None)
    assert group("PUT", f"{results}/1.age", **block) == (201, None)
    assert group("GET", f"{results}2/1.age") == MISMATCH
    assert group("GET", f"https://{BLOB_HOST}/?comp=list") == MISMATCH
    assert Caller(azure, OPERATOR)("GET", url("roles.img")) == MISMATCH


def test_a_token_for_another_service_and_one_of_nobody_open_no_blob(azure):
    wrong = Caller(azure, OWNER, "https://vault.azure.net")
    assert wrong("GET", url("x.img")) == (401, "InvalidAuthenticationInfo")
    wrong.headers["Authorization"] += "x"
    assert wrong("GET", url("x.img")) == (401, "InvalidAuthenticationInfo")


def test_a_signature_opens_what_it_was_made_for_and_no_more(azure, sealed, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_KEY", azure.state.blob_key())
    shared = csum("push", sealed, url("one.img"), "--sas", "1h", "-o", "json").data["sharedURL"]
    assert csum("push", sealed, url("two.img")).code == 0
    holder = Caller(azure, OWNER)
    del holder.headers["Authorization"]
    assert holder("GET", shared) == (200, None)
    assert holder("GET", shared.replace("one.img", "two.img"))[0] == 403
    assert holder("PUT", shared, **{"x-ms-blob-type": "BlockBlob"}) == MISMATCH
    assert holder("GET", shared.replace("sp=r", "sp=rw"))[0] == 403


def test_a_signature_by_an_identity_is_worth_what_the_identity_may(azure, sealed):
    shared = csum("push", sealed, url("lent.img"), "--sas", "30m", "-o", "json").data["sharedURL"]
    operator = Caller(azure, OPERATOR)
    del operator.headers["Authorization"]
    stolen = shared.replace(URL(shared, encoded=True).query["skoid"], operator.object_id)
    assert operator("GET", stolen) == MISMATCH


def test_a_delegated_sas_lasts_a_week_at_most(sealed):
    result = csum("push", sealed, url("long.img"), "--sas", "8d")

    assert result.code == 3
    assert "7 days" in result.err


def test_a_missing_container_is_named(sealed):
    result = csum("push", sealed, f"https://{BLOB_HOST}/nowhere/x.img")

    assert result.code == 4
    assert "container does not exist" in result.err


def test_a_wrong_account_key_is_refused(azure, sealed, tmp_path):
    (tmp_path / "account").write_text("d3Jvbmc=")

    result = csum("push", sealed, url("x.img"), "--account-key-file", tmp_path / "account")

    assert result.code == 4
    assert "d3Jvbmc" not in result.err


def test_what_is_no_image_is_not_pushed(tmp_path):
    (tmp_path / "secret.txt").write_bytes(TEXT)

    assert csum("push", tmp_path / "secret.txt", url("x.img")).code == 3


@pytest.fixture
def bound(sealed):
    """Options that import the key of the sealed image under a name."""
    key = sealed.with_name("documents.img.key")
    return ("--vault", VAULT, "--key", key, "--attestation", ATTESTATION, "--host-data", "ab" * 32)


async def snapshots(azure, name, count=0):
    """Make so many snapshots of a blob, and return how many there are."""
    async with BlobClient.from_blob_url(url(name), account_key(azure)) as blob:
        for _ in range(count):
            await blob.create_snapshot()
    async with BlobServiceClient(f"https://{BLOB_HOST}", account_key(azure)) as service:
        container = service.get_container_client(CONTAINER)
        return len([b async for b in container.list_blobs(name_starts_with=name, include=["snapshots"]) if b.snapshot])


def test_a_purge_erases_blob_snapshots_and_all_versions_of_the_key_and_signs_for_it(azure, sealed, bound, tmp_path):
    assert csum("key", "import", "purged", *bound).code == 0
    assert csum("key", "import", "purged", *bound, "--new-version").code == 0
    pushed = csum("push", sealed, url("purged.img"), "-o", "json").data
    assert asyncio.run(snapshots(azure, "purged.img", 2)) == 2
    arguments = ("purge", url("purged.img"), "--key", "purged", "--vault", VAULT, "--receipt", tmp_path / "receipt")

    refused = csum(*arguments, answer="n\n")
    assert (refused.code, (tmp_path / "receipt").exists()) == (1, False)
    assert f"blob {url('purged.img')}, {pushed['size']} bytes" in refused.err
    assert refused.err.count("  snapshot 20") == 2
    assert f"let out to: {'ab' * 6}… (not of this machine)" in refused.err

    result = csum(*arguments, "--yes", "--signed-off-by", "Ada", "-o", "json")
    assert result.code == 0, result.err
    assert result.data == json.loads((tmp_path / "receipt").read_text())
    assert (result.data["erased"], result.data["orderedBy"]) == (True, "Ada")
    assert result.data["blob"]["etag"] == pushed["etag"]
    assert [step["what"] for step in result.data["steps"]] == [
        f"key purged of {VAULT} disabled",
        f"key purged of {VAULT} deleted",
        f"key purged of {VAULT} purged",
        f"blob {url('purged.img')} deleted with its snapshots",
    ]
    assert asyncio.run(snapshots(azure, "purged.img")) == 0
    assert csum("key", "show", "purged", "--vault", VAULT).code == 4

    again = csum(*arguments[:-1], tmp_path / "second", "--yes")
    assert again.code == 4
    assert "there is no such blob; nothing was erased" in again.err


def test_a_purge_says_what_purge_protection_keeps_and_until_when(bound, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert csum("key", "import", "kept", *bound).code == 0
    asyncio.run(set_purge_protection(True))
    try:
        result = csum("purge", "--key", "kept", "--vault", VAULT, "--yes")
    finally:
        asyncio.run(set_purge_protection(False))
    assert result.code == 1
    assert "NOT all is erased" in result.out
    [file] = tmp_path.glob("csum-purge-*.json")
    disabled, deleted, purged = json.loads(file.read_text())["steps"]
    assert disabled["done"]
    assert deleted["done"]
    assert (purged["done"], purged["code"]) == (False, "Forbidden ForbiddenByPolicy")
    assert "The vault destroys it by itself on 20" in purged["detail"]

    again = csum("purge", "--key", "kept", "--vault", VAULT, "--yes", "--receipt", tmp_path / "again", "-o", "json")
    assert (again.code, [step["what"] for step in again.data["steps"]]) == (0, [f"key kept of {VAULT} purged"])


async def set_purge_protection(on):
    url = f"https://management.azure.com/sandbox/vaults/{VAULT}"
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.put(url, json={"purgeProtection": on}) as answer,
    ):
        assert answer.status == 200


def test_a_purge_leaves_what_is_no_sealed_image_alone(azure, sealed, bound, tmp_path):
    assert csum("key", "import", "spared", *bound).code == 0

    async def make():
        async with BlobClient.from_blob_url(url("table.csv"), account_key(azure)) as blob:
            await blob.upload_blob(b"a,b\n1,2\n")

    asyncio.run(make())
    refused = csum("purge", url("table.csv"), "--key", "spared", "--vault", VAULT, "--yes")
    assert refused.code == 3
    assert "is no sealed image: nothing was erased" in refused.err
    assert csum("key", "show", "spared", "--vault", VAULT, "-o", "json").data["enabled"] is True


def test_a_leased_blob_is_left_and_the_receipt_says_why(azure, sealed, tmp_path):
    assert csum("push", sealed, url("leased.img")).code == 0

    async def lease():
        async with BlobClient.from_blob_url(url("leased.img"), account_key(azure)) as blob:
            await blob.acquire_lease()

    asyncio.run(lease())
    result = csum("purge", url("leased.img"), "--yes", "--receipt", tmp_path / "receipt", "-o", "json")
    assert (result.code, result.data["erased"]) == (1, False)
    [step] = result.data["steps"]
    assert (step["done"], step["code"]) == (False, "LeaseIdMissing")
    assert "Somebody holds a lease" in step["detail"]


def test_nothing_is_erased_where_the_receipt_cannot_be_written(sealed, tmp_path):
    assert csum("push", sealed, url("unsigned.img")).code == 0
    (tmp_path / "receipt").write_text("an older one")
    result = csum("purge", url("unsigned.img"), "--yes", "--receipt", tmp_path / "receipt")
    assert (result.code, (tmp_path / "receipt").read_text()) == (3, "an older one")
    assert csum("inspect", url("unsigned.img")).code == 0


def test_a_pushed_image_opens_again_with_its_key(azure, sealed, tmp_path):
    assert csum("push", sealed, url("whole.img")).code == 0
    (tmp_path / "copy.img").write_bytes(asyncio.run(content(azure, "whole.img")))

    unseal(tmp_path / "copy.img", tmp_path / "out", sealed.with_name("documents.img.key").read_bytes())

    assert (tmp_path / "out" / "contract.txt").read_bytes() == TEXT
