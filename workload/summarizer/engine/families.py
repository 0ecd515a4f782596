"""The model families that can be used; a new one is a row here, and a row in the tests that compare the engines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Family:
    """What differs between encoder-decoder families of `transformers`.

    Attributes:
        model_type: As `config.json` says it.
        title: What people call it.
        source_limit: The field of `config.json` with the most tokens of a source.
        converted: Whether CTranslate2 runs it; else the reference engine does.
        config: Fields that CTranslate2's converter reads and transformers 5 no longer writes.
        global_first: Whether the first token of a source has to attend to all others (LED's global attention).
    """

    model_type: str
    title: str
    source_limit: str
    converted: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    global_first: bool = False


_ROWS: Final = (
    Family("t5", "T5", "n_positions"),
    # It normalizes after each block, and right after the embeddings.
    Family(
        "bart",
        "BART",
        "max_position_embeddings",
        config={"normalize_before": False, "normalize_embedding": True},
    ),
    # It normalizes before each block.
    Family(
        "pegasus",
        "Pegasus",
        "max_position_embeddings",
        config={"normalize_before": True, "normalize_embedding": False},
    ),
    Family("led", "LED", "max_encoder_position_embeddings", converted=False, global_first=True),
)
FAMILIES: Final[Mapping[str, Family]] = {family.model_type: family for family in _ROWS}
"""By `model_type`."""
TITLES: Final = ", ".join(family.title for family in _ROWS)
