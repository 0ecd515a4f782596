"""Planted keys and texts are in no output, log record or traceback of any command, at the most talkative level."""

import asyncio
import base64
import logging
import os
import ssl
import tempfile
import traceback
from pathlib import Path

import aiohttp
import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob.aio import BlobServiceClient
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from azure_sandbox.azure.principals import OWNER
from azure_sandbox.blobs import Blobs
from azure_sandbox.names import ATTESTATION, BLOB_ACCOUNT, BLOB_HOST, VAULT
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.release import build
from confidential_summarizer.sealing import create_key_file
from tests.support.data_owner import SmallAzure, csum, fill

pytestmark = pytest.mark.needs("node", "npm")

PREMIUM = "party2.vault.azure.net"
TEXT = b"The planted sentence that nobody may ever see."
HASH = "ab" * 32


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        blobs = Blobs(azure.state)
        blobs.up(lambda _line: None)
        yield azure
        blobs.down()


@pytest.fixture
def container(azure, environment):
    """Make the container "sealed", and take it away again."""
    asyncio.run(change("create_container", azure.state.blob_key()))
    yield
    asyncio.run(change("delete_container", azure.state.blob_key()))


@pytest.fixture(autouse=True)
def environment(azure, monkeypatch, caplog):
    for name, value in azure.environment(OWNER).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)


def forms(secret: bytes) -> list[bytes]:
    """Every form in which bytes get into a text."""
    return [
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        repr(secret)[2:-1].encode(),
    ]


async def change(what, key):
    async with BlobServiceClient(f"https://{BLOB_HOST}", AzureNamedKeyCredential(BLOB_ACCOUNT, key)) as service:
        await getattr(service, what)("sealed")


@pytest.mark.slow
def test_no_command_shows_a_secret(azure, container, tmp_path, caplog, monkeypatch):
    key, account = os.urandom(32), azure.state.blob_key()
    create_key_file(tmp_path / "key", key)
    (tmp_path / "account").write_text(account)
    fill(tmp_path / "documents", TEXT)
    url = f"https://{BLOB_HOST}/sealed/planted.img"
    bound = ("--attestation", ATTESTATION, "--host-data", HASH)
    image, key_file = tmp_path / "image", tmp_path / "key"
    results = [
        csum("seal", tmp_path / "documents", "--out", image, "--key", key_file, "-o", "json"),
        csum("seal", tmp_path / "documents", "--out", tmp_path / "missing" / "i", "--key", key_file),
        csum("inspect", image, "--key", key_file),
        csum("unseal", image, "--key", key_file, "--out", tmp_path / "out"),
        csum("key", "show", "--key", key_file),
        csum("key", "import", "planted", "--vault", VAULT, "--key", key_file, *bound, "-o", "yaml"),
        csum("key", "import", "planted", "--vault", PREMIUM, "--key", key_file, *bound),
        csum("key", "import", "planted", "--vault", VAULT, "--key", key_file, "--kty", "RSA-HSM", *bound),
        csum("key", "show", "planted", "--vault", VAULT),
        csum("push", image, url),
        csum("push", image, f"{url}2", "--account-key-file", tmp_path / "account"),
        csum("push", image, f"https://{BLOB_HOST}/nowhere/x", "--account-key-file", tmp_path / "account"),
        csum("purge", url, "--yes", "--key", "planted", "--vault", VAULT, "--receipt", tmp_path / "receipt"),
    ]
    assert [result.code for result in results] == [0, 3, 0, 0, 0, 0, 3, 3, 0, 0, 0, 4, 0]

    monkeypatch.setenv("AZURE_CLIENT_SECRET", "planted-wrong-secret")
    results.append(csum("key", "show", "planted", "--vault", VAULT))

    said = "\n".join([*(r.out + r.err for r in results), caplog.text]).encode()
    assert b"azure" in said, "the libraries were listened to"
    secrets = [key, TEXT, account.encode(), base64.b64decode(account), b"planted-wrong-secret"]
    secrets.append(os.environ["AZURE_CLIENT_SECRET"].encode())
    assert [form for secret in secrets for form in forms(secret) if form in said] == []


def test_no_traceback_shows_a_key(azure, tmp_path):
    """What a bug report would hold: the whole chain of exceptions, with the representation of what is at hand."""
    material = os.urandom(32)
    assert csum("key", "new", tmp_path / "rsa", "--kty", "RSA-HSM").code == 0
    private = load_pem_private_key((tmp_path / "rsa.pem").read_bytes(), None)
    exponent = private.private_numbers().d
    secrets = [material, exponent.to_bytes((exponent.bit_length() + 7) // 8, "big"), (tmp_path / "rsa").read_bytes()]

    async def fail(host, key):
        async with credential() as identity, KeyVault(host, identity) as vault:
            await vault.import_key("bad name!", key, build([HASH], [ATTESTATION]))

    for host, key in ((PREMIUM, material), (VAULT, material), (VAULT, private), ("none.example.com", private)):
        with pytest.raises(SummarizerError) as caught:
            asyncio.run(fail(host, key))
        chain = "".join(traceback.format_exception(caught.value))
        chain += repr(caught.value.__cause__) + repr(caught.value.args)
        assert [form for secret in secrets for form in forms(secret) if form.decode("latin-1") in chain] == []
        assert str(exponent) not in chain


def test_a_shared_url_is_only_on_stdout(azure, container, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_KEY", azure.state.blob_key())
    fill(tmp_path / "documents", TEXT)
    assert csum("seal", tmp_path / "documents", "--out", tmp_path / "image").code == 0

    result = csum("push", tmp_path / "image", f"https://{BLOB_HOST}/sealed/s.img", "--sas", "1h", "-o", "json")
    signature = result.data["sharedURL"].partition("sig=")[2].partition("&")[0]
    monkeypatch.delenv("AZURE_STORAGE_KEY")
    assert csum("seal", tmp_path / "documents", "--out", tmp_path / "other").code == 0
    refused = csum("push", tmp_path / "other", result.data["sharedURL"], "--overwrite")

    assert refused.code == 4
    for text in (result.err, refused.out, refused.err, caplog.text):
        assert signature not in text
