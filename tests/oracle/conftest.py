"""Builds the real tools that ours are compared with; they are kept in the cache folder by version."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from azure_sandbox.golang import build
from azure_sandbox.guest.programs import MODULE

HERE = Path(__file__).parent


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
def guestpolicy(go: str) -> Path:
    """The guest agent's own policy engine, as the sandbox builds it."""
    return build(MODULE, dict(os.environ), lambda _: None) / "guestpolicy"


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
