"""Shared by all attacks: whoever is attacked has approved nothing on this machine, whoever else works here."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the record of approvals, where `csum` looks for it, in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
