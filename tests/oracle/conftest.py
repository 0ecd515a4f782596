"""Builds the real tools that ours are compared with; they are kept in the cache folder by version."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SIMULATOR_VERSION = "v0.13.0"
"""The newest release that can be installed by its path; later ones have replace directives."""
FRAMEWORK_VERSION = "v0.15.0"


@pytest.fixture(scope="session")
def go() -> str:
    """The Go command."""
    found = shutil.which("go")
    if found is None:
        pytest.skip("Go is not installed")
    return found


@pytest.fixture(scope="session")
def layerhash(go: str) -> Path:
    """Our few lines on the real converter."""
    sources = sorted((HERE / "layerhash").iterdir())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    binary = cache_folder() / f"layerhash-{version}" / "layerhash"
    if not binary.exists():
        run([go, "build", "-o", str(partial(binary)), "."], HERE / "layerhash")
        partial(binary).replace(binary)
    return binary


@pytest.fixture(scope="session")
def simulator(go: str) -> Path:
    """The real policy engine, with its framework 0.3.0."""
    folder = cache_folder() / f"policyenginesimulator-{SIMULATOR_VERSION}"
    binary = folder / "policyenginesimulator"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        package = f"github.com/Microsoft/hcsshim/internal/tools/policyenginesimulator@{SIMULATOR_VERSION}"
        run([go, "install", package], folder, GOBIN=str(folder))
    return binary


@pytest.fixture(scope="session")
def framework(go: str) -> str:
    """The text of the newest framework that is published, 0.5.0, as it stands in its module."""
    answer = run([go, "mod", "download", "-json", f"github.com/Microsoft/hcsshim@{FRAMEWORK_VERSION}"], HERE)
    folder = Path(json.loads(answer)["Dir"]) / "pkg" / "securitypolicy"
    version = (folder / "version_framework").read_text(encoding="utf-8").strip()
    return (folder / "framework.rego").read_text(encoding="utf-8").replace("@@FRAMEWORK_VERSION@@", version)


def cache_folder() -> Path:
    """Where built tools are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "confidential-summarizer"


def partial(binary: Path) -> Path:
    """Where a binary is built before it gets its name."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    return binary.with_suffix(".partial")


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a command and return what it prints; a failure fails the test with what it said."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
