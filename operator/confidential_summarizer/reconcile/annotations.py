"""What a resource's annotations ask of the operator. An answer that nobody knows is none: it changes nothing."""

from dataclasses import dataclass
from typing import Self

from confidential_summarizer.api.names import (
    ABANDON_ANNOTATION,
    PAUSE_ANNOTATION,
    RECONCILE_ANNOTATION,
    RESOLVE_ANNOTATION,
)
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.errors import SpecError

_ANSWERS = {None: False, "false": False, "true": True}


@dataclass(frozen=True)
class Wishes:
    """What is asked for besides the spec.

    Attributes:
        pause: Look and say, but change nothing.
        abandon: Let a resource that is being deleted go, whatever is left behind.
        reconcile: The last request to look now; a new value is a new request.
        resolve: The last request to resolve tags anew.
    """

    pause: bool = False
    abandon: bool = False
    reconcile: str | None = None
    resolve: str | None = None

    @classmethod
    def of(cls, metadata: Metadata) -> Self:
        """Read a resource's annotations.

        Raises:
            SpecError: One of them has a value that says neither yes nor no.
        """
        given = metadata.annotations
        return cls(
            pause=_yes(metadata, PAUSE_ANNOTATION),
            abandon=_yes(metadata, ABANDON_ANNOTATION),
            reconcile=given.get(RECONCILE_ANNOTATION),
            resolve=given.get(RESOLVE_ANNOTATION),
        )


def end_of_pause(metadata: Metadata) -> str:
    """Say what ends a pause."""
    return f"`csum resume {metadata.name} -n {metadata.namespace}` ends it"


def _yes(metadata: Metadata, name: str) -> bool:
    value = metadata.annotations.get(name)
    if value not in _ANSWERS:
        raise SpecError(
            f"annotation {name} is {value!r}, which is neither true nor false, so nothing is done: "
            f"`kubectl -n {metadata.namespace} annotate --overwrite csum {metadata.name} {name}=true`, or {name}- to "
            "remove it",
            reason=Reason.INVALID_ANNOTATION,
        )
    return _ANSWERS[value]
