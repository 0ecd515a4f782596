import re
import zipfile
from pathlib import Path

import pytest

from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import SummarizerError
from demo import wheels
from demo.wheels import LOCK, locked_wheels, requirements_of


def test_the_workloads_requirements_come_from_the_project_file():
    requirements = requirements_of("workload")

    assert any(one.startswith("streamlit>=") for one in requirements)
    assert not any(one.startswith("kopf") for one in requirements)


def test_an_extra_adds_to_what_the_distribution_needs():
    requirements = requirements_of(".", "operator")

    assert any(one.startswith("kopf>=") for one in requirements)
    assert any(one.startswith("click>=") for one in requirements)
    assert not any(one.startswith("streamlit") for one in requirements)


def test_nothing_is_installed_whose_hash_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of the lock without a hash, as an edit by hand leaves it, brings in whatever a server gives."""
    wheel = tmp_path / "wheels" / "unlocked-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("unlocked-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: unlocked\nVersion: 1.0\n")
        file.writestr("unlocked-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel.parent)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wheels, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(wheels, "cache_directory", lambda: tmp_path)
    (tmp_path / "lock").write_text("unlocked==1.0\n")
    with pytest.raises(SummarizerError, match="hash"):
        locked_wheels(SandboxState(tmp_path / "home"), lambda _: None)


def test_the_virtual_environment_is_made_of_what_is_locked_by_hash() -> None:
    makefile = (wheels.ROOT / "Makefile").read_text()
    [install] = [line for line in makefile.splitlines() if "-r requirements.lock" in line]
    assert "--require-hashes" in install
    pinned = re.findall(r"^[a-z0-9-]+==.*(?:\n .*)*", LOCK.read_text(), re.MULTILINE)
    assert len(pinned) > 100
    assert all("--hash=sha256:" in one for one in pinned)
