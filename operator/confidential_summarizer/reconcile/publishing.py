"""Writes a status, and tells people what changed in it: a line of the log for each transition, an event for Ready's."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import read_status
from confidential_summarizer.api.status import Condition, ConditionStatus, ConditionType, Status
from confidential_summarizer.kube import SUMMARIZER, KubernetesAPI
from confidential_summarizer.reconcile.conditions import status_patch, transitions

logger = logging.getLogger(__name__)

ORDINARY = frozenset(
    {
        Reason.MEASURING,
        Reason.ROLLING_OUT,
        Reason.PROGRESSING,
        Reason.OPENING_FILE_SYSTEMS,
        Reason.SUMMARIZING,
        Reason.DELETING,
        Reason.PAUSED,
        Reason.SCALED_TO_ZERO,
    }
)
"""Reasons of a False condition that are the usual course of things, not a warning."""


EVENTFUL = frozenset({ConditionType.READY, ConditionType.DRIFTED})
"""Conditions whose transitions become events: Ready says what any other one has to say against it."""


class Recorder(Protocol):
    """Posts an event about a resource."""

    async def __call__(self, resource: Mapping[str, Any], *, normal: bool, reason: str, message: str) -> None:
        """Post one event; where that is not possible, nothing else suffers."""


@dataclass
class Publisher:
    """Writes the status of one resource; keeps what the API server holds of it.

    Attributes:
        document: The resource as the API server holds it.
    """

    kube: KubernetesAPI
    record: Recorder
    document: Mapping[str, Any]

    async def write(self, status: Status) -> None:
        """Write what changed, if anything did, and say so."""
        before, meta = self.document.get("status") or {}, self.document["metadata"]
        patch = status_patch(before, status)
        if not patch:
            return
        await self.kube.patch_status(SUMMARIZER, meta["namespace"], meta["name"], patch)
        kept = {key: value for key, value in {**before, **patch}.items() if value is not None}
        self.document = {**self.document, "status": kept}
        for condition in transitions(read_status(before), status):
            normal = _is_ordinary(condition)
            if condition.type in EVENTFUL:
                await self.tell(condition.reason, condition.message, normal=normal, about=condition.type)
            else:
                self._log(condition.reason, condition.message, normal=normal, about=condition.type)

    async def tell(self, reason: str, message: str, *, normal: bool, about: str = "") -> None:
        """Say something about the resource in an event and in the log."""
        self._log(reason, message, normal=normal, about=about)
        await self.record(self.document, normal=normal, reason=reason, message=message)

    def _log(self, reason: str, message: str, *, normal: bool, about: str) -> None:
        meta = self.document["metadata"]
        subject = f"{meta['namespace']}/{meta['name']}"
        level = logging.INFO if normal else logging.WARNING
        logger.log(level, "%s: %s %s: %s", subject, about, reason, message, extra={"object": subject, "reason": reason})


def _is_ordinary(condition: Condition) -> bool:
    bad = condition.status is ConditionStatus.FALSE or condition.type == ConditionType.DRIFTED
    return not bad or condition.reason in ORDINARY
