"""Wheels for images and fresh installations, all from requirements.lock and by its hashes.

pip takes hashes for a whole lock file only. So everything that is locked is downloaded and checked once; what one
distribution needs is then picked from that folder, without an index.
"""

import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from azure_sandbox.programs import run_program
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState, cache_directory, locked

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"

PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)), "manylinux2014_x86_64")
"""What glibc 2.36 of Debian 12 runs (PEP 600), best first."""
TARGET = (
    "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none",
    *(f"--platform={platform}" for platform in PLATFORMS),
)  # fmt: skip


def locked_wheels(state: SandboxState, report: Report) -> Path:
    """Return a folder with a wheel for every line of the lock, each checked against its hashes, downloaded once.

    Raises:
        TransientError: The download failed, or a file is not the one that was locked.
    """
    folder = cache_directory() / f"locked-wheels-{_digest(LOCK.read_text(), *TARGET)}"

    def download(into: Path) -> None:
        report("wheels: downloading what requirements.lock names")
        _pip(state, "--require-hashes", "--no-deps", f"--requirement={LOCK}", f"--dest={into}")

    return _once(folder, download)


def wheels_for(name: str, requirements: Sequence[str], state: SandboxState, report: Report) -> Path:
    """Return a folder with pip and the locked wheels that the requirements need.

    Args:
        name: Of what they are for; names the folder.
        requirements: As a pyproject.toml writes them.
        state: The sandbox whose settings are kept away from the download.
        report: Told about each step.

    Raises:
        TransientError: The download failed, or the lock does not hold what is required: run `make lock`.
    """
    everything = locked_wheels(state, report)
    folder = cache_directory() / f"{name}-wheels-{_digest(everything.name, *requirements)}"

    def pick(into: Path) -> None:
        _pip(state, "--no-index", f"--find-links={everything}", f"--dest={into}", *requirements, "pip")
        (into / "requirements.txt").write_text("\n".join(requirements) + "\n")

    return _once(folder, pick)


def requirements_of(distribution: str, *extras: str) -> list[str]:
    """Return what a distribution requires, as the pyproject.toml in its folder (`.`, `workload`) writes it."""
    project = tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())["project"]
    required: list[str] = list(project["dependencies"])
    for extra in extras:
        required += project["optional-dependencies"][extra]
    return required


def _once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder of the cache unless it is there; one that could not be filled leaves nothing behind."""
    with locked(Path(f"{folder}.lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="wheels-downloading-") as place:
                filled = Path(place) / "wheels"
                filled.mkdir()
                fill(filled)
                shutil.move(filled, folder)
    return folder


def _pip(state: SandboxState, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *TARGET, *options]
    environment = state.outside_environment()
    if "--no-index" in options:  # a folder that the user's settings name would bring in wheels that nobody checked
        command.insert(3, "--isolated")
        environment.pop("PIP_FIND_LINKS", None)
    run_program(command, ROOT, environment)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
