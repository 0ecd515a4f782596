"""`kubectl csum` as krew installs it from a release, and which csum answers."""

import functools
import os
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from azure_sandbox.golang import find_go
from azure_sandbox.programs import run_program
from azure_sandbox.state import SandboxState
from demo.plugin import MANIFEST, pack
from demo.wheels import ROOT, locked_wheels

pytestmark = [pytest.mark.slow, pytest.mark.oracle, pytest.mark.timeout(1800)]

KREW = "v0.4.4"
VERSION = "1.2.3"
PACKAGE = f"confidential-summarizer[owner]=={VERSION}"


@pytest.fixture(scope="module")
def tools(programs, tmp_path_factory):
    """A folder for PATH: kubectl, krew and its check of manifests."""
    folder = tmp_path_factory.mktemp("tools")
    commands = [f"sigs.k8s.io/krew/cmd/{name}@{KREW}" for name in ("krew", "validate-krew-manifest")]
    settings = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    run_program([find_go(os.environ, print), "install", *commands], folder, settings)
    (folder / "kubectl-krew").symlink_to("krew")
    (folder / "kubectl").symlink_to(programs / "kubectl")
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """The manifest of a release, whose archive can be downloaded from where it says."""
    home = tmp_path_factory.mktemp("repository")
    folder = home / "releases" / "download" / f"v{VERSION}"
    folder.mkdir(parents=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(home))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        repository = f"http://127.0.0.1:{server.server_port}"
        run_program([sys.executable, "-m", "demo.plugin", VERSION, repository, folder], ROOT, os.environ)
        yield folder / MANIFEST
        server.shutdown()


class Admin:
    """A machine on which krew has installed the plugin."""

    def __init__(self, home: Path, tools: Path, manifest: Path) -> None:
        self.bin = home / "bin"
        self.bin.mkdir()
        path = f"{home}/krew/bin:{self.bin}:{tools}"
        self.environment = {"HOME": str(home), "KREW_ROOT": f"{home}/krew", "PATH": path}
        installed = self.kubectl("krew", "install", f"--manifest={manifest}")
        assert installed.returncode == 0, installed.stderr

    def kubectl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    def has(self, command: str, script: str) -> None:
        (self.bin / command).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / command).chmod(0o755)


@pytest.fixture
def admin(tmp_path, tools, manifest):
    return Admin(tmp_path, tools, manifest)


def csum_of(version: str) -> str:
    return f'[ "$1" = --version ] && echo "csum, version {version}" || printf "<%s>" "$@"'


def test_krews_own_check_of_manifests_passes(tools, manifest):
    run_program([tools / "validate-krew-manifest", f"--manifest={manifest}"], tools, {"PATH": str(tools)})


@pytest.mark.parametrize("processor", ["amd64", "arm64"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_krew_installs_it_on(system, processor, tools, manifest, tmp_path):
    machine = {"KREW_ROOT": str(tmp_path), "KREW_OS": system, "KREW_ARCH": processor}
    run_program([tools / "krew", "install", f"--manifest={manifest}"], tmp_path, {"PATH": str(tools), **machine})


def test_it_runs_the_release_that_uv_brings(admin, tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    run_program([*pip, tmp_path, ROOT], tmp_path, {**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": VERSION})
    (admin.bin / "uvx").symlink_to(Path(sys.executable).with_name("uvx"))
    admin.environment |= {
        "PATH": f"{admin.environment['PATH']}:/usr/bin:/bin",  # uv's launchers ask where they are
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": f"{tmp_path},{locked_wheels(SandboxState(tmp_path / 'state'), print)}",
        "UV_PYTHON": sys.executable,
    }
    answer = admin.kubectl("csum", "--version")
    assert answer.stdout == f"kubectl-csum, version {VERSION}\n", answer.stderr


def test_the_csum_that_is_installed_answers_if_it_is_of_the_same_version(admin):
    admin.has("csum", csum_of(VERSION))
    admin.has("uvx", "echo uvx")
    assert admin.kubectl("csum", "why", "a b").stdout == "<why><a b>"


def test_no_other_version_answers(admin):
    admin.has("csum", csum_of("1.2.4"))
    refused = admin.kubectl("csum", "why")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert f"pip install '{PACKAGE}'" in refused.stderr
    admin.has("pipx", "echo pipx $*")
    assert admin.kubectl("csum", "why").stdout == f"pipx run --spec {PACKAGE} kubectl-csum why\n"


def test_a_csum_that_calls_the_plugin_is_not_asked_for_ever(admin):
    admin.has("csum", 'exec kubectl csum "$@"')
    assert admin.kubectl("csum", "why").returncode == 3
    admin.has("uvx", 'echo "uvx $*"')
    assert admin.kubectl("csum", "why").stdout == f"uvx --from {PACKAGE} kubectl-csum why\n"


def test_the_archive_of_a_release_is_the_same_bytes_on_every_day(monkeypatch):
    made = pack("script")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert pack("script") == made
