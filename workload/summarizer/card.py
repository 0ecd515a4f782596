"""What a model says about itself: the front matter of `MODEL.md`, with cautious defaults where it says nothing."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from summarizer.content import ModelFiles
from summarizer.errors import ModelError

CARD_NAME: Final = "MODEL.md"
_FRONT_MATTER: Final = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)

GuardMode = Literal["report", "withhold"]


@dataclass(frozen=True)
class ModelCard:
    """The facts of a model that the page shows.

    Attributes:
        name: What to call it.
        notice: One sentence of plain warning for readers of the summaries; empty if there is none.
        facts: Further pairs of label and value, in order.
    """

    name: str
    notice: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def read_card(name: str, files: ModelFiles) -> ModelCard:
    """Return the card among a model's files; without `MODEL.md` it has only the folder's `name`.

    Raises:
        ModelError: The front matter does not parse.
    """
    if CARD_NAME not in files:
        return ModelCard(name=name)
    path = f"{name}/{CARD_NAME}"
    try:
        match = _FRONT_MATTER.match(files[CARD_NAME].decode("utf-8"))
        fields: Any = yaml.safe_load(match.group(1)) if match else {}
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ModelError(f"the front matter of {path} is no YAML: correct it") from None
    if not isinstance(fields, dict):
        raise ModelError(f"the front matter of {path} is no mapping: correct it")
    facts = fields.get("facts") or {}
    if not isinstance(facts, dict):
        raise ModelError(f"the facts of {path} are no mapping: correct them")
    return ModelCard(
        name=str(fields.get("name", name)),
        notice=str(fields.get("notice", "")),
        facts=tuple((str(label), str(value)) for label, value in facts.items()),
    )
