"""The cluster's grants, read once for many resources."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confidential_summarizer.api.grant import SummarizerGrant
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import AccessDenied, SpecError, SummarizerError
from confidential_summarizer.kube import GRANT, NAMESPACE, KubernetesAPI
from confidential_summarizer.reconcile.authorization import Need, authorize

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
"""For so long all resources share one reading of the grants. A watch ends it earlier; without one, a grant that was
taken away counts for no longer than this."""


class Grants:
    """Reads the grants, and says what they do not allow."""

    def __init__(self, kube: KubernetesAPI, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._known: tuple[SummarizerGrant, ...] = ()
        self._until = float("-inf")
        self._changes = 0
        self._reading = asyncio.Lock()

    async def missing(self, resource: ConfidentialSummarizer) -> tuple[Need, ...]:
        """Return what the resource names and no grant allows it.

        Raises:
            TransientError, AccessDenied: The grants cannot be read; then nothing is allowed.
        """
        grants = await self._all()
        namespace = resource.metadata.namespace
        labels = await self._labels(namespace) if any(g.spec.namespaces.match_labels for g in grants) else {}
        return authorize(resource.spec, namespace, labels, grants)

    async def allow(self, resource: ConfidentialSummarizer) -> bool:
        """Tell whether all that the resource names is granted; not if that cannot be found out."""
        try:
            return not await self.missing(resource)
        except SummarizerError as error:
            logger.warning("%s: its grants cannot be read: %s", resource.key, error)
            return False

    def forget(self) -> None:
        """Read the grants anew the next time: one of them has changed."""
        self._until = float("-inf")
        self._changes += 1

    async def _all(self) -> Sequence[SummarizerGrant]:
        async with self._reading:
            if self._clock() >= self._until:
                start, changes = self._clock(), self._changes
                self._known = tuple(_readable(await self._kube.list(GRANT, "")))
                if changes == self._changes:
                    self._until = start + FRESH_SECONDS
            return self._known

    async def _labels(self, namespace: str) -> Mapping[str, str]:
        try:
            found = await self._kube.get(NAMESPACE, namespace, namespace)
        except AccessDenied:
            return {}
        return (found["metadata"].get("labels") or {}) if found else {}


def _readable(documents: Sequence[Mapping[str, Any]]) -> list[SummarizerGrant]:
    grants = []
    for document in documents:
        try:
            grants.append(SummarizerGrant.parse(document))
        except SpecError as error:
            # What is not understood may be a restriction: such a grant allows nothing.
            logger.warning("%s; it grants nothing", error)
    return grants
