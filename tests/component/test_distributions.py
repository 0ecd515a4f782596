"""The three wheels, each alone in an environment of its own: what a user gets, without this checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from azure_sandbox.state import SandboxState
from demo.wheels import ROOT, locked_wheels
from tests.support.resources import document

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

UNREACHABLE = "127.0.0.1:9"
"""The port of `discard`, where nobody listens."""
FOLDERS = {
    "confidential_summarizer": ".",
    "confidential_summarizer_workload": "workload",
    "confidential_summarizer_sandbox": "sandbox",
}


class Installation:
    """A virtual environment; its commands see nothing of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CSUM_SANDBOX_HOME": str(self.folder / "sandbox"),
        }
        return subprocess.run(
            [self.folder / "bin" / command, *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of each distribution, built by the locked backend."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        f"--wheel-dir={folder}",
    ]
    subprocess.run([*pip, *(ROOT / source for source in FOLDERS.values())], check=True)
    return {name: next(folder.glob(f"{name}-[0-9]*.whl")) for name in FOLDERS}


@pytest.fixture(scope="module")
def install(wheels, tmp_path_factory):
    """Install one of the wheels, and what it requires from files that have the hashes of the lock."""
    state = SandboxState(tmp_path_factory.mktemp("state"))
    locked = locked_wheels(state, lambda step: None)

    def install(name: str, extra: str = "") -> Installation:
        made = Installation(tmp_path_factory.mktemp(name))
        subprocess.run([sys.executable, "-m", "venv", made.folder], check=True)
        done = made.run(
            "pip", "--isolated", "install", "--quiet", "--no-index", "--only-binary=:all:", f"--find-links={locked}",
            f"--find-links={wheels[name].parent}", f"{wheels[name]}{extra}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return made

    return install


@pytest.fixture(scope="module")
def product(install):
    return install("confidential_summarizer")


@pytest.fixture(scope="module")
def sandbox(install):
    return install("confidential_summarizer_sandbox")


def test_the_product_alone_explains_its_commands(product):
    overview = product.run("csum", "--help")
    assert overview.returncode == 0, overview.stderr
    assert "policy" in overview.stdout
    assert product.run("csum", "policy", "--help").returncode == 0
    assert product.run("kubectl-csum", "--version").returncode == 0


def test_the_product_alone_renders_without_a_package_of_azure(product, tmp_path):
    resource = tmp_path / "resource.yaml"
    resource.write_text(yaml.safe_dump(document(image=f"{UNREACHABLE}/summarizer@sha256:{'0' * 64}")))
    rendered = product.run("csum", "--loopback-registry", "render", resource)
    assert rendered.returncode == 5, rendered.stderr  # it came as far as asking the registry
    assert UNREACHABLE in rendered.stderr
    assert product.run("python", "-c", "import azure").returncode != 0


def test_a_command_that_needs_azure_says_which_extra_brings_it(product):
    assert "confidential-summarizer[owner]" in product.run("csum", "push", "--help").stdout
    pushed = product.run("csum", "push", "contracts.img", "--create-container")
    assert pushed.returncode == 3, pushed.stderr
    assert "pip install 'confidential-summarizer[owner]'" in pushed.stderr
    assert "Traceback" not in pushed.stderr


def test_the_owners_extra_is_enough_for_the_owners_commands(install):
    owner = install("confidential_summarizer", "[owner]")
    for command in ("push", "purge", "key", "verify"):
        assert owner.run("csum", command, "--help").returncode == 0, command


def test_without_the_sandbox_its_command_says_what_to_install(product):
    missing = product.run("csum", "sandbox", "up")
    assert missing.returncode == 3
    assert "confidential-summarizer-sandbox" in missing.stderr
    assert len(missing.stderr.splitlines()) == 1


def test_the_sandbox_from_a_wheel_says_that_it_needs_a_checkout(sandbox):
    assert "up" in sandbox.run("csum", "sandbox", "--help").stdout
    up = sandbox.run("csum", "sandbox", "up")
    assert up.returncode == 3, up.stderr
    assert "clone the repository" in up.stderr
    assert len(up.stderr.splitlines()) == 1


def test_the_workload_alone_refuses_a_configuration_that_cannot_work(install):
    workload = install("confidential_summarizer_workload")
    started = workload.run("python", "-m", "summarizer")
    assert started.returncode == 3, started.stderr
    assert "SUMMARIZER_DOCUMENTS" in started.stderr + started.stdout
    assert workload.run("python", "-c", "import confidential_summarizer").returncode != 0


def test_all_three_have_the_same_version(wheels):
    assert len({wheel.name.split("-")[1] for wheel in wheels.values()}) == 1
