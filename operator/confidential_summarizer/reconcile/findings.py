"""What is said about one condition, in words that stay the same while the facts do."""

import re
from dataclasses import dataclass
from typing import Self

from confidential_summarizer.api.status import ConditionStatus, ConditionType

_VARYING = re.compile(
    r"""(?ix) [\s,;.]* \b (?: trace | correlation | request | x-ms-request | client-request | activity ) [\s_-]* id
        \s* [:=] \s* ["']? [0-9a-f-]{8,} ["']?
      | [\s,;.]* \b (?: timestamp | time ) \s* [:=] \s* ["']?
        \d{4}-\d\d-\d\d [T\s] [\d:.]+ (?:Z|[+-]\d\d:?\d\d)? ["']?"""
)
"""What a service makes up for each answer: it tells people nothing, and makes every status differ from the last."""


def steady(message: str) -> str:
    """Return a message without what differs in each of a service's answers: ids and times of its own."""
    return _VARYING.sub("", message)


@dataclass(frozen=True)
class Finding:
    """What is said about one condition."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str

    @classmethod
    def true(cls, kind: ConditionType, reason: str, message: str) -> Self:
        """Say that the condition holds."""
        return cls(kind, ConditionStatus.TRUE, reason, steady(message))

    @classmethod
    def false(cls, kind: ConditionType, reason: str, message: str) -> Self:
        """Say that the condition does not hold."""
        return cls(kind, ConditionStatus.FALSE, reason, steady(message))

    @classmethod
    def unknown(cls, kind: ConditionType, reason: str, message: str) -> Self:
        """Say that nobody knows."""
        return cls(kind, ConditionStatus.UNKNOWN, reason, steady(message))
