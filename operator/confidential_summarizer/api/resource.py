"""A ConfidentialSummarizer as a typed value, parsed from what the API server or a file holds."""

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

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
    deletion_timestamp: str | None = None
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

    @field_validator("status", mode="before")
    @classmethod
    def _read_status(cls, value: Any) -> Any:
        # What is wanted does not depend on what was written: a status that cannot be read is no fault of the spec.
        return read_status(value) if isinstance(value, Mapping) else value

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
        here = self.spec.target.placement(self.spec.groups)
        before = next((p for p in self.status.placements if p.same_place(here)), here)
        widest = here.model_copy(update={"groups": max(here.groups, before.groups)})
        return [*(p for p in self.status.placements if not p.same_place(here)), widest]


def read_status(document: Mapping[str, Any]) -> Status:
    """Return a status as far as it can be read: what another version wrote in its own way is left out."""
    try:
        return Status.model_validate(document)
    except ValidationError as error:
        unreadable = {str(problem["loc"][0]) for problem in error.errors()}
        readable = {name: value for name, value in document.items() if name not in unreadable}
        return read_status(readable) if len(readable) < len(document) else Status()


def problems(error: ValidationError) -> str:
    """Render pydantic's findings as paths of the resource; values are left out, since they might be secrets."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'spec'}: {_words(problem)}"
        for problem in error.errors(include_url=False, include_input=False)
    )


def _words(problem: ErrorDetails) -> str:
    if problem["type"] == "model_type":  # whose own words name a class of ours
        return "Input should be an object with fields"
    return problem["msg"].removeprefix("Value error, ")
