"""The oldest firmware that a key is let out to and evidence is accepted of; data, because it moves with AMD's fixes.

`floors.json` says for each claim why. A newer processor may count differently: then the file gets a line, and a key's
owner approves again.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from confidential_summarizer.release.grammar import Condition


@dataclass(frozen=True)
class Floor:
    """The least value of one claim.

    Attributes:
        claim: Name of the claim; its value is an integer.
        name: What people call it.
        minimum: The least value.
        why: Where the value comes from.
    """

    claim: str
    name: str
    minimum: int
    why: str

    @property
    def condition(self) -> Condition:
        """The condition of a release policy."""
        return Condition(self.claim, self.minimum, "greaterOrEquals")

    def holds(self, value: object) -> bool:
        """Tell whether a claim's value is high enough; what is no integer is not."""
        return isinstance(value, int) and not isinstance(value, bool) and value >= self.minimum


@cache
def floors() -> tuple[Floor, ...]:
    """Return the floors of this release."""
    text = files("confidential_summarizer.release").joinpath("floors.json").read_text(encoding="utf-8")
    return tuple(Floor(**entry) for entry in json.loads(text))
