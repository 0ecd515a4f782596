"""Images built by buildah and pushed through the proxy to a registry of the sandbox, under an Azure name."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from azure_sandbox import base_image, image_build
from azure_sandbox.attester import Attester
from azure_sandbox.azure.arm.pulling import pull_credentials
from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.guest import create_guest
from azure_sandbox.guest.api import GroupNetwork, ImageInaccessible
from azure_sandbox.image_build import Image, ImageBuilder
from azure_sandbox.registry import Registry
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import AccessDenied, TransientError
from confidential_summarizer.registry import Anonymous, Credential, RegistryClient, StaticCredentials
from confidential_summarizer.registry.azure import AzureIdentity
from tests.support.azure_client import body

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
REFERENCE = "party1.azurecr.io/built:1"
EPOCH = 1_000_000_000


@pytest.fixture(scope="module")
def state():
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        process = subprocess.Popen([sys.executable, "-m", "tests.support.stand_ins_process", home], cwd=ROOT)
        try:
            wait_for(state.port("proxy"), process)
            Registry(state).up(print)
            yield state
        finally:
            Registry(state).down()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def wait_for(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise AssertionError("the process does not listen")


@pytest.fixture
def image(tmp_path):
    """One file on a base of one file; the base's name keeps it apart from real ones in buildah's storage."""
    for name in ("context", "authority", "base"):
        (tmp_path / name).mkdir()
    (tmp_path / "Containerfile").write_text(
        'ARG BASE\nFROM ${BASE}\nCOPY --from=authority ca.pem /ca.pem\nCOPY main /main\nENV A=1\nCMD ["/main"]\n'
    )
    (tmp_path / "context" / "main").write_text("main\n")
    (tmp_path / "authority" / "ca.pem").write_text("authority\n")
    (tmp_path / "base" / "os-release").write_text("base\n")
    # Always the same bytes, as a machine imports a base once and knows it by its name.
    for path in (tmp_path / "base" / "os-release", tmp_path / "base"):
        os.utime(path, (EPOCH, EPOCH))
    tar = tmp_path / f"image-build-test-{EPOCH}.tar"
    with tarfile.open(tar, "w") as file:
        file.add(tmp_path / "base", "etc")
    return Image(
        reference=REFERENCE,
        containerfile=tmp_path / "Containerfile",
        context=tmp_path / "context",
        base=tar,
        contexts={"authority": tmp_path / "authority"},
        files=("main",),
    )


@pytest.fixture
def resolve(state, monkeypatch):
    for name, value in state.client_environment().items():
        monkeypatch.setenv(name, value)
    # aiohttp reads SSL_CERT_FILE when it is imported; a client's process has the variable before that, this one has not
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())

    async def resolve(reference, credentials=None):
        async with RegistryClient(credentials or signed_in(state, OWNER)) as client:
            return await client.resolve(reference)

    return resolve


def principals_of(state):
    return Principals(state.home / "azure" / "principals.json")


def signed_in(state, who):
    """What `docker login` with an application's id and secret leaves behind."""
    principal = principals_of(state)[who]
    login = Credential(principal.client_id, principal.secret)
    return StaticCredentials({"party1.azurecr.io": login, "mcr.microsoft.com": login})


def exchanging(state, who):
    """What an identity of Azure gets by itself."""
    own = state.home / "azure"
    principal, tokens = Principals(own / "principals.json")[who], Tokens(SigningKey(own / "login.pem"))

    async def token():
        return tokens.issue(principal, "https://containerregistry.azure.net").value

    return AzureIdentity(token)


async def test_a_published_image_is_pulled_by_its_digest_with_its_config(state, image, resolve):
    digest = ImageBuilder(state, print).publish(image)

    found = await resolve(f"party1.azurecr.io/built@{digest}")

    assert found.config.cmd == ("/main",)
    assert "A=1" in found.config.env
    assert (await resolve(REFERENCE)).digest == digest


def test_an_unchanged_image_is_not_built_again(state, image):
    said = []
    digest = ImageBuilder(state, print).publish(image)

    assert ImageBuilder(state, said.append).publish(image) == digest
    assert said == [f"{REFERENCE}: unchanged"]


async def test_a_changed_file_makes_another_image_on_the_same_base(state, image, resolve):
    builder = ImageBuilder(state, print)
    before = await resolve(f"party1.azurecr.io/built@{builder.publish(image)}")
    (image.context / "main").write_text("changed\n")

    after = await resolve(f"party1.azurecr.io/built@{builder.publish(image)}")

    assert after.digest != before.digest
    assert after.layers[0] == before.layers[0]


def test_the_same_inputs_make_the_same_digest_on_another_machine_and_another_day(state, image, tmp_path, monkeypatch):
    first = ImageBuilder(state, print).publish(image)

    (state.home / "images.json").unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-machine"))
    monkeypatch.setattr(image_build, "STORAGE_DRIVERS", ("vfs",))  # whole copies, which leave no mount behind
    for path in (image.context / "main", tmp_path / "authority" / "ca.pem"):
        os.utime(path, (EPOCH, EPOCH))

    assert ImageBuilder(state, print).publish(image) == first


def test_builds_leave_nothing_behind_but_the_newest_images(state, image, tmp_path, monkeypatch):
    """One working container a build, of the whole image, filled a disk within days."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_build, "STORAGE_DRIVERS", ("vfs",))
    kept = []
    for text in ("one\n", "two\n", "three\n"):
        (image.context / "main").write_text(text)
        ImageBuilder(state, print).publish(image)
        storage = tmp_path / "cache" / "confidential-summarizer" / "containers" / "vfs" / "storage"
        assert json.loads((storage / "vfs-containers" / "containers.json").read_text()) == []
        kept.append(len(list((storage / "vfs" / "dir").iterdir())))
    assert kept[0] == kept[1] == kept[2]


def test_an_image_that_the_registry_lost_is_pushed_again(state, image):
    ImageBuilder(state, print).publish(image)
    Registry(state).down()
    shutil.rmtree(state.registry / "data")
    Registry(state).up(print)
    said = []

    ImageBuilder(state, said.append).publish(image)

    assert f"{REFERENCE}: pushing" in said


async def test_nobody_pulls_or_pushes_without_a_credential(state, image, resolve, tmp_path):
    ImageBuilder(state, print).publish(image)
    with pytest.raises(AccessDenied, match="give credentials for it"):
        await resolve(REFERENCE, Anonymous())
    (state.home / "images.json").unlink()
    (tmp_path / "logins.json").write_text("{}")
    network = {**state.client_environment(), "REGISTRY_AUTH_FILE": str(tmp_path / "logins.json")}
    with pytest.raises(TransientError, match="authentication required"):
        ImageBuilder(state, print, network).publish(image)


@pytest.mark.parametrize("credentials", [signed_in, exchanging])
async def test_who_has_the_role_pulls_and_who_has_not_is_refused(state, image, resolve, credentials):
    digest = ImageBuilder(state, print).publish(image)
    assert (await resolve(REFERENCE, credentials(state, OPERATOR))).digest == digest
    nobody = ("00000000-0000-0000-0000-000000000000", principals_of(state)[SUMMARIZER].client_id)
    for user, password in ((nobody[0], "not-a-token"), (nobody[1], ""), (nobody[1], "ü")):
        with pytest.raises(AccessDenied, match="refuses the credential"):
            await resolve(REFERENCE, StaticCredentials({"party1.azurecr.io": Credential(user, password)}))
    with roles_without(state, OPERATOR), pytest.raises(AccessDenied):
        await resolve(REFERENCE, credentials(state, OPERATOR))


def test_who_may_pull_may_not_push(state, image, tmp_path):
    owner = principals_of(state)[OWNER]
    entry = {"auth": base64.b64encode(f"{owner.client_id}:{owner.secret}".encode()).decode()}
    (tmp_path / "logins.json").write_text(json.dumps({"auths": {"party1.azurecr.io": entry}}))
    network = {**state.client_environment(), "REGISTRY_AUTH_FILE": str(tmp_path / "logins.json")}
    (state.home / "images.json").unlink(missing_ok=True)
    with pytest.raises(TransientError, match="authentication required"):
        ImageBuilder(state, print, network).publish(image)


async def test_what_is_public_at_microsoft_is_pulled_by_anybody_and_nothing_else_is(state, image, resolve):
    public = replace(image, reference="mcr.microsoft.com/aci/built:1")
    digest = ImageBuilder(state, print).publish(public)
    ImageBuilder(state, print).publish(image)
    assert (await resolve("mcr.microsoft.com/aci/built:1", Anonymous())).digest == digest
    with pytest.raises(AccessDenied):
        await resolve("mcr.microsoft.com/built:1", Anonymous())


@pytest.mark.parametrize("missing", [False, True])
async def test_the_platform_pulls_with_the_identity_that_a_group_names(state, image, resolve, tmp_path, missing):
    """The stand-ins' guests are scripted here, so this is the guest's own look at its images."""
    ImageBuilder(state, print).publish(image)
    own = state.home / "azure"
    principals, tokens = Principals(own / "principals.json"), Tokens(SigningKey(own / "login.pem"))
    identity = principals[SUMMARIZER].resource_id
    credentials = [] if missing else [{"server": "party1.azurecr.io", "identity": identity}]
    group = body("1", imageRegistryCredentials=credentials)
    group["properties"]["containers"][0]["properties"]["image"] = REFERENCE
    registries = pull_credentials(group, principals, tokens)
    network = GroupNetwork("127.77.0.1", tmp_path / "a", tmp_path / "b", registries=registries)
    guest = create_guest({**group, "name": "x"}, tmp_path / "x", network, Attester(own / "attester"))
    with pytest.raises(ImageInaccessible) if missing else contextlib.nullcontext():
        await guest.check_images()
    on_virtual_node = {**group, "tags": {"NodeName": "virtualnode-0"}}
    network = replace(network, registries=pull_credentials(on_virtual_node, principals, tokens))
    await create_guest({**group, "name": "x"}, tmp_path / "x", network, Attester(own / "attester")).check_images()


@contextlib.contextmanager
def roles_without(state, who):
    """Take all roles of an application away for a while."""
    object_id = principals_of(state)[who].object_id
    before = asked(state, "GET")
    asked(state, "PUT", {"assignments": [one for one in before["assignments"] if one["object_id"] != object_id]})
    try:
        yield
    finally:
        asked(state, "PUT", before)


def asked(state, method, content=None):
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": state.proxy_url}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(state.ca_bundle))),
    )
    url, data = "https://management.azure.com/sandbox/role-assignments", content and json.dumps(content).encode()
    with opener.open(urllib.request.Request(url, data, method=method), timeout=10) as answer:
        return json.load(answer)


def test_a_build_that_fails_says_what_buildah_said(state, image):
    image.containerfile.write_text("ARG BASE\nFROM ${BASE}\nCOPY no-such-file /\n")

    with pytest.raises(TransientError, match="no-such-file"):
        ImageBuilder(state, print).publish(image)


def test_a_base_image_is_made_from_the_archive_that_the_environment_names_and_from_no_other(tmp_path, monkeypatch):
    state = SandboxState(tmp_path)
    state.prepare()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(base_image.ARCHIVE, f"file://{tmp_path}/debian/20261129T000000Z")
    with pytest.raises(TransientError, match="debian/20261129T000000Z"):
        base_image.base("nowhere", ["python3"], state, print)
