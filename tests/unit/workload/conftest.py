"""A small engine with plain rules, and what most tests of the workload start from."""

from pathlib import Path

import pytest

from summarizer.settings import DocumentSet, Settings
from tests.support.lead_engine import LeadEngine


@pytest.fixture
def lead_engine() -> LeadEngine:
    return LeadEngine()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # The documents of these tests are too short for a share of them to mean anything.
    return Settings(
        documents=(DocumentSet(directory=tmp_path / "documents"),),
        models=("lead", "tail"),
        models_directory=tmp_path / "models",
        guard_shortest=0,
        guard_share=100,
    )
