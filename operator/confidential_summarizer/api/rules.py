"""Rules that a spec must keep, written once and enforced twice.

The API server evaluates the CEL form at `kubectl apply`; reconcile, `csum render` and the tests evaluate the Python
form. A cluster whose API server never saw our CRD's rules (an old CRD, a restored etcd) is caught by the second.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


@dataclass(frozen=True)
class Rule:
    """One sentence of the contract between the resource's author and the operator.

    Attributes:
        message: What is wrong and what to do; shown by kubectl as it stands.
        cel: The expression that must be true, over `self` (and `oldSelf` in a transition rule).
        holds: The same in Python over the parsed model; None for a transition rule, which needs the old object.
    """

    message: str
    cel: str
    holds: Callable[[Any], bool] | None

    @classmethod
    def immutable(cls, cel: str, message: str) -> Self:
        """Make a transition rule: only the API server knows the old object."""
        return cls(message, cel, None)

    def schema(self) -> dict[str, str]:
        """Return the rule as an entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message}


class Ruled(BaseModel):
    """Base of every model of the resource: closed, immutable, camelCase on the wire, and bound by its rules."""

    model_config = ConfigDict(
        alias_generator=lambda name: camel_case(name),
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Return the rules of this model; the default is none."""
        return ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in self.rules():
            if rule.holds is not None and not rule.holds(self):
                raise ValueError(rule.message)
        return self


ACRONYMS: Mapping[str, str] = {"url": "URL", "id": "ID", "ids": "IDs"}
"""Kubernetes' API conventions keep acronyms in one case: blobURL, resourceID, subnetIDs."""


def camel_case(name: str) -> str:
    """Return the wire name of a Python field name, by Kubernetes' conventions."""
    first, *rest = name.split("_")
    return first + "".join(ACRONYMS.get(word, word.capitalize()) for word in rest)


def ruled_models(model: type[BaseModel]) -> Iterator[type[Ruled]]:
    """Walk a model and every model inside it."""
    seen: set[type[BaseModel]] = set()
    pending = [model]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if issubclass(current, Ruled):
            yield current
        for field in current.model_fields.values():
            pending.extend(_models_in(field.annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
