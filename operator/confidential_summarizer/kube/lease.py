"""Leader election by a Lease (coordination.k8s.io), as kube-scheduler does it: one works, the others wait.

The official client's own election ends with a traceback when the API server cannot be reached for a moment, and gives
no lease back when it stops, so a rollout would wait for the lease to run out; hence these hundred lines.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.kube.api import LEASE, KubernetesAPI, Object

logger = logging.getLogger(__name__)

DURATION_SECONDS = 10.0
"""Others take over when the holder has not renewed for this long: the longest handover, with one `RETRY_SECONDS`."""
DEADLINE_SECONDS = 7.5
"""The holder stops by itself this long after it began its last renewal: well before anybody else may start.

Two renewals in a row and the pause between them have to fit in, so the API server may take 3 s for each.
"""
RETRY_SECONDS = 1.5
"""Between two tries to get or to renew."""


@dataclass
class Lease:
    """The right to be the one operator that works.

    Attributes:
        identity: Who we are; no two processes may have the same.
        leading: Whether it is ours now.
    """

    kube: KubernetesAPI
    namespace: str
    name: str
    identity: str
    leading: bool = False
    _observed: tuple[str, str] = ("", "")
    _observed_at: float = 0.0
    _renewed: float = 0.0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[asyncio.Task[None]]:
        """Wait until the lease is ours, renew it inside the block, and give it back at its end.

        Yields:
            A task that ends when the lease is lost: whoever works has to stop at once.
        """
        logger.info("waiting to lead: lease %s/%s", self.namespace, self.name)
        while not await self._tried():  # noqa: ASYNC110 - nobody tells us when a lease has run out
            await asyncio.sleep(RETRY_SECONDS)
        logger.info("leading as %s", self.identity)
        self.leading = True
        renewing = asyncio.create_task(self._renew(), name="renewal of the lease")
        try:
            yield renewing
        finally:
            self.leading = False
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await self._give_back()

    async def _renew(self) -> None:
        while (left := self._renewed + DEADLINE_SECONDS - time.monotonic()) > 0:
            await asyncio.sleep(min(RETRY_SECONDS, left))
            await self._tried(within=self._renewed + DEADLINE_SECONDS - time.monotonic())
        self.leading = False
        logger.error("the lease could not be renewed for %.0f s: no longer leading", DEADLINE_SECONDS)

    async def _tried(self, within: float = DEADLINE_SECONDS) -> bool:
        asked = time.monotonic()
        try:
            async with asyncio.timeout(max(within, 0.1)):
                taken = await self._take()
        except (SummarizerError, TimeoutError) as error:
            logger.warning("lease %s/%s: %s", self.namespace, self.name, str(error) or "no answer in time")
            return False
        if taken:  # others count from what we wrote, which may be long before the answer
            self._renewed = asked
        return taken

    async def _take(self) -> bool:
        """Take or renew the lease; False while somebody else's has not run out."""
        found = await self.kube.get(LEASE, self.namespace, self.name)
        if found is None:
            await self.kube.create(self._manifest())
            return True
        spec = found.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if holder not in ("", self.identity) and not self._has_run_out(holder, spec):
            return False
        await self._write(found, self._spec(spec if holder == self.identity else {}, spec))
        return True

    def _has_run_out(self, holder: str, spec: Object) -> bool:
        """Tell by our own clock: how long the record has stayed the same, whatever the holder's clock says."""
        observed = (holder, str(spec.get("renewTime")))
        if observed != self._observed:
            self._observed, self._observed_at = observed, time.monotonic()
        return time.monotonic() - self._observed_at > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    def _spec(self, ours: Object, before: Object) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION_SECONDS),
            "acquireTime": ours.get("acquireTime") or now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if ours else 1),
        }

    def _manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec({}, {}),
        }

    async def _write(self, found: Object, spec: Object) -> None:
        # Two that saw the same record both write; the version lets only one of them through.
        metadata = {"resourceVersion": found["metadata"].get("resourceVersion")}
        await self.kube.merge(LEASE, self.namespace, self.name, {"metadata": metadata, "spec": dict(spec)})

    async def _give_back(self) -> None:
        with contextlib.suppress(SummarizerError, TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                found = await self.kube.get(LEASE, self.namespace, self.name)
                if found is not None and (found.get("spec") or {}).get("holderIdentity") == self.identity:
                    await self._write(found, {"holderIdentity": ""})
