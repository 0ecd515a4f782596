"""What the summarizer does and how large it is.

Limits of Azure Container Instances: its pages "resource availability" and "confidential container groups".
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from confidential_summarizer.api.quantity import GB, parse_quantity
from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import Name, Quantity

MAX_GROUP_CPU = Decimal(31)
"""Cores that one confidential container group can have."""
MAX_GROUP_MEMORY = 180 * GB
"""Bytes of memory that one confidential container group can have."""
SIDECAR_CPU = Decimal("1.5")
"""Cores that the sidecars of a group request beside the summarizer (blueprint.py)."""
SIDECAR_MEMORY = 3 * GB
"""Bytes that the sidecars of a group request beside the summarizer (blueprint.py)."""


class Engine(StrEnum):
    """What runs the model."""

    AUTO = "auto"
    CTRANSLATE2 = "ctranslate2"
    REFERENCE = "reference"


class GuardMode(StrEnum):
    """What happens to a summary that repeats more of its document than the limits allow."""

    REPORT = "report"
    WITHHOLD = "withhold"


class Guard(Ruled):
    """How much of a document all of its summaries may repeat word for word. Paraphrases and single facts pass."""

    mode: GuardMode = Field(
        default=GuardMode.WITHHOLD,
        description="withhold: leave out the sentences that exceed a limit. report: only say so on the page, which "
        "bounds nothing.",
    )
    max_share: int = Field(
        default=15,
        ge=1,
        le=100,
        description="Most percent of a document's letters and digits that all answers about it, until the group starts "
        "anew, may repeat in stretches of 12 or more (5 in scripts without blanks).",
    )
    max_run: int = Field(default=30, ge=5, le=1000, description="Most words in a row that a summary may repeat.")
    min_letters: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Shorter documents, counted in letters and digits, get no summary in mode withhold: it would say "
        "most of them.",
    )


class SummarizerSettings(Ruled):
    """How the summaries are made."""

    models: Annotated[list[Name], Field(min_length=1, max_length=16)] = Field(
        default=["bart"],
        description="The models that readers may choose from: directories in the file system with role Models if there "
        "is one, else under /models in the image. The first summarizes every document at the start; the others are "
        "loaded when a reader asks for them. T5 and BART checkpoints work.",
    )
    max_words: int = Field(default=120, ge=10, le=1000, description="Upper bound of a summary's length, in words.")
    engine: Engine = Field(
        default=Engine.AUTO,
        description="What runs the model: ctranslate2 (converted weights, fast on CPU), reference (transformers and "
        "torch), or auto (ctranslate2 if converted weights are there).",
    )
    guard: Guard = Field(
        default_factory=Guard,
        description="How much of a document its summaries may repeat, and what happens to one that repeats more.",
    )
    show_names: bool = Field(
        default=False, description="Show the documents' file names to readers, instead of Document 1, 2, …"
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse a model that is named twice."""
        return (
            Rule(
                "name each model once",
                "self.models.all(m, self.models.exists_one(n, n == m))",
                lambda self: len(set(self.models)) == len(self.models),
            ),
        )


class Resources(Ruled):
    """The size of the summarizer container; the sidecars of a group add 1.5 cores and 3 GB."""

    cpu: Quantity = Field(default="2", description='Cores of the summarizer container, for example "2" or "500m".')
    memory: Quantity = Field(default="4G", description='Memory of the summarizer container, for example "16Gi".')

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Keep the group within what Azure Container Instances has."""
        cpu, memory = MAX_GROUP_CPU - SIDECAR_CPU, int((MAX_GROUP_MEMORY - SIDECAR_MEMORY) / GB)
        return (
            Rule(
                f"a confidential container group has at most 31 cores, of which the sidecars take {SIDECAR_CPU}: set "
                f"cpu to a value from 500m to {cpu}",
                f"quantity(self.cpu).compareTo(quantity('500m')) >= 0 && "
                f"quantity(self.cpu).compareTo(quantity('{cpu}')) <= 0",
                lambda self: Decimal("0.5") <= parse_quantity(self.cpu) <= cpu,
            ),
            Rule(
                f"a confidential container group has at most 180 GB of memory, of which the sidecars take 3 GB: set "
                f"memory to a value from 1G to {memory}G",
                f"quantity(self.memory).compareTo(quantity('1G')) >= 0 && "
                f"quantity(self.memory).compareTo(quantity('{memory}G')) <= 0",
                lambda self: GB <= parse_quantity(self.memory) <= memory * GB,
            ),
        )
