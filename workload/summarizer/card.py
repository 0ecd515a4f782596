"""What a model says about itself: the front matter of `MODEL.md`, with cautious defaults where it says nothing."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from summarizer.errors import ModelError

CARD_NAME: Final = "MODEL.md"
_FRONT_MATTER: Final = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)

GuardMode = Literal["report", "withhold"]


@dataclass(frozen=True)
class ModelCard:
    """The facts of a model that the page shows.

    Attributes:
        name: What to call it.
        guard: What the disclosure guard does with long verbatim runs, unless the configuration says otherwise.
        notice: One sentence of plain warning for readers of the summaries; empty if there is none.
        facts: Further pairs of label and value, in order.
    """

    name: str
    guard: GuardMode = "withhold"
    notice: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def read_card(model: Path) -> ModelCard:
    """Return the card of a model directory; one without `MODEL.md` gets its folder's name and a withholding guard.

    Raises:
        ModelError: The front matter does not parse, or names an unknown guard mode.
    """
    path = model / CARD_NAME
    if not path.is_file():
        return ModelCard(name=model.name)
    match = _FRONT_MATTER.match(path.read_text(encoding="utf-8"))
    try:
        fields: Any = yaml.safe_load(match.group(1)) if match else {}
    except yaml.YAMLError:
        raise ModelError(f"the front matter of {path} is no YAML: correct it") from None
    if not isinstance(fields, dict):
        raise ModelError(f"the front matter of {path} is no mapping: correct it")
    guard = fields.get("guard", "withhold")
    if guard not in ("report", "withhold"):
        raise ModelError(f"{path} names the guard mode {guard!r}: use report or withhold")
    facts = fields.get("facts", {})
    return ModelCard(
        name=str(fields.get("name", model.name)),
        guard=guard,
        notice=str(fields.get("notice", "")),
        facts=tuple((str(label), str(value)) for label, value in facts.items()),
    )
