"""A small engine with plain rules, and what most tests of the workload start from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from summarizer.settings import Settings
from summarizer.text import sentences


@dataclass
class LeadEngine:
    """Counts words as tokens and gives back the first sentence of each text."""

    source_tokens: int = 20
    name: str = "lead"
    batch: int = 8

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def summarize(self, texts: Sequence[str], max_words: int) -> list[str]:
        return [sentences(text)[0] for text in texts]


@pytest.fixture
def lead_engine() -> LeadEngine:
    return LeadEngine()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # The documents of these tests are too short for a share of them to mean anything.
    return Settings(
        documents=tmp_path / "documents",
        models=("lead", "tail"),
        models_directory=tmp_path / "models",
        guard_shortest=0,
        guard_share=100,
    )
