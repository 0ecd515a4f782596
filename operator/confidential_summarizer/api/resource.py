"""A ConfidentialSummarizer as a typed value, parsed from what the API server or a file holds."""

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from confidential_summarizer.api.names import API_VERSION, KIND
from confidential_summarizer.api.rules import Rule, camel_case
from confidential_summarizer.api.spec import Spec
from confidential_summarizer.api.status import Status
from confidential_summarizer.api.target import Placement
from confidential_summarizer.errors import SpecError

NAME_RULE = Rule(
    "metadata.name must have at most 63 lower-case letters, digits and hyphens and begin with a letter: it becomes a "
    "label, the name of a Service and part of the names of container groups",
    "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 63",
    lambda self: re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", self.metadata.name) is not None,
)


class Metadata(BaseModel):
    """The parts of an object's metadata that decide anything here."""

    model_config = ConfigDict(alias_generator=camel_case, extra="ignore", frozen=True, populate_by_name=True)

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return `namespace/name`, as people and messages call the resource."""
        return f"{self.namespace}/{self.name}"


class ConfidentialSummarizer(BaseModel):
    """The resource: what is wanted (spec) and what is known (status)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: Metadata
    spec: Spec
    status: Status = Field(default_factory=Status)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Parse a resource from its JSON form.

        Raises:
            SpecError: It is another kind, or its spec can never work; the message lists every problem.
        """
        identity = (document.get("apiVersion"), document.get("kind"))
        if identity != (API_VERSION, KIND):
            raise SpecError(f"expected a {KIND} of {API_VERSION}, found kind {identity[1]!r} of {identity[0]!r}")
        try:
            resource = cls.model_validate(document)
        except ValidationError as error:
            name = document.get("metadata", {}).get("name", "(no name)")
            raise SpecError(f"{KIND} {name}: {problems(error)}") from None
        assert NAME_RULE.holds is not None  # noqa: S101 - no transition rule
        if not NAME_RULE.holds(resource):
            raise SpecError(f"{KIND} {resource.metadata.name}: {NAME_RULE.message}")
        return resource

    @property
    def key(self) -> str:
        """Return `namespace/name`, as people and messages call the resource."""
        return self.metadata.key

    @property
    def placements(self) -> list[Placement]:
        """Return where its groups are, were or are about to be: what status remembers, and the spec's own place."""
        return self._placements_with(self.spec.replicas)

    @property
    def remaining_placements(self) -> list[Placement]:
        """Return where deletion has to look; the spec's place has no groups unless status knows of some."""
        return self._placements_with(self.status.replicas)

    def _placements_with(self, groups: int) -> list[Placement]:
        here = self.spec.target.placement(groups)
        before = next((p for p in self.status.placements if p.same_place(here)), here)
        widest = here.model_copy(update={"groups": max(here.groups, before.groups)})
        return [*(p for p in self.status.placements if not p.same_place(here)), widest]


def problems(error: ValidationError) -> str:
    """Render pydantic's findings as paths of the resource; values are left out, since they might be secrets."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'spec'}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    )
