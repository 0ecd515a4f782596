"""Images built by buildah and pushed through the proxy to a registry of the sandbox, under an Azure name."""

import contextlib
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
from pathlib import Path

import aiohttp
import pytest

from azure_sandbox import image_build
from azure_sandbox.image_build import Image, ImageBuilder
from azure_sandbox.registry import Registry
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import TransientError
from confidential_summarizer.registry import RegistryClient

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

    async def resolve(reference):
        async with RegistryClient() as client:
            return await client.resolve(reference)

    return resolve


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


def test_an_image_that_the_registry_lost_is_pushed_again(state, image):
    ImageBuilder(state, print).publish(image)
    Registry(state).down()
    shutil.rmtree(state.registry / "data")
    Registry(state).up(print)
    said = []

    ImageBuilder(state, said.append).publish(image)

    assert f"{REFERENCE}: pushing" in said


def test_a_build_that_fails_says_what_buildah_said(state, image):
    image.containerfile.write_text("ARG BASE\nFROM ${BASE}\nCOPY no-such-file /\n")

    with pytest.raises(TransientError, match="no-such-file"):
        ImageBuilder(state, print).publish(image)
