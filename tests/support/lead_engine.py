"""A model that copies, which a guard has to bound."""

from collections.abc import Sequence
from dataclasses import dataclass

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
