"""What one reconcile finds out, told as it goes. Whatever happens, the one status is summed up from it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from confidential_summarizer.api.names import POLICY_CONFIG_MAP_SUFFIX
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.api.status import (
    AttestationTrust,
    BatchStatus,
    Condition,
    ConditionStatus,
    ConditionType,
    ImageTrust,
    KeyTrust,
    Status,
    Trust,
)
from confidential_summarizer.api.target import Attempt, Placement
from confidential_summarizer.errors import SpecError, SummarizerError, TransientError
from confidential_summarizer.reconcile.conditions import aspects, readiness, stamped, timestamp
from confidential_summarizer.reconcile.findings import Finding
from confidential_summarizer.targets.observation import Observation

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE = timedelta(minutes=15)
"""How long a resource stays Ready while a service that it needs for nothing but checks cannot be asked."""
SHORT_HOST_DATA = 12
"""Digits of the host-data in the POLICY column: enough to tell two policies apart by eye."""
UNCONFIRMED = " (not confirmed since "
"""Between what was found out and since when nobody could look again."""


@dataclass
class Report:
    """What is known of a resource: what its status said before, and what this reconcile has found out since.

    Attributes:
        before: The status as it was last written; what it said at first is what was known.
        write: Writes a status.
        grace: How long what was known counts while it cannot be looked at again.
        failure: What ended the reconcile before it was done.
        unconfirmed: Something that was known could not be looked at again this time.
        wait: Seconds after which to look again at the latest; None: as ever.
        changed: Set when people change the resource while it is looked at.
    """

    metadata: Metadata
    before: Status
    now: datetime
    write: Callable[[Status], Awaitable[None]]
    grace: timedelta = GRACE
    findings: dict[ConditionType, Finding] = field(default_factory=dict)
    failure: SummarizerError | None = None
    unconfirmed: bool = False
    observation: Observation | None = None
    selector: str | None = None
    target: str | None = None
    host_data: str = ""
    images: Sequence[ImageTrust] = ()
    keys: Sequence[KeyTrust] = ()
    attestation: AttestationTrust | None = None
    placements: Sequence[Placement] = ()
    attempts: Sequence[Attempt] = ()
    batch: BatchStatus | None = None
    wait: float | None = None
    handled_reconcile: str | None = None
    handled_resolve: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _known: Status = field(init=False)

    def __post_init__(self) -> None:
        self._known = self.before
        before, trust = self.before, self.before.trust or Trust()
        self.selector, self.target = before.selector, before.target
        self.placements, self.attempts, self.batch = before.placements, before.attempts, before.batch
        self.host_data, self.images, self.keys = trust.host_data or "", trust.images, trust.keys
        self.attestation = trust.attestation
        self.handled_reconcile, self.handled_resolve = before.last_handled_reconcile_at, before.last_handled_resolve_at

    def true(self, kind: ConditionType, reason: Reason, message: str) -> None:
        """Say that a condition holds."""
        self.findings[kind] = Finding.true(kind, reason, message)

    @contextmanager
    def about(self, kind: ConditionType, *, unchanged: bool = False) -> Iterator[None]:
        """Turn an error inside the block into what is said about a condition, and let the error go on.

        While a service cannot answer, what was known before is said with its age.

        Args:
            kind: The condition.
            unchanged: What it depends on is as it was when the status was written, even if the resource is not.
        """
        try:
            yield
        except TransientError as error:
            self.findings[kind] = self._kept(kind, error, unchanged) or Finding.false(kind, error.reason, str(error))
            raise
        except SummarizerError as error:
            self.findings[kind] = Finding.false(kind, error.reason, str(error))
            raise
        except Exception as bug:
            # Whatever a bug does to one resource, the others go on, and this one says so.
            logger.exception("%s: a bug while %s was looked at", self.metadata.key, kind)
            said = SummarizerError(f"a bug while {kind} was looked at; the operator's log has the trace")
            self.findings[kind] = Finding.unknown(kind, said.reason, str(said))
            raise said from bug

    def holds(self, kind: ConditionType) -> bool:
        """Tell whether a condition is True by what has been found out up to now."""
        return kind in self.findings and self.findings[kind].status is ConditionStatus.TRUE

    def known(self, kind: ConditionType, *, unchanged: bool = False) -> Condition | None:
        """Return a condition that was True for the resource as it is."""
        known = self._known.condition(kind)
        if known is None or known.status is not ConditionStatus.TRUE:
            return None
        return known if unchanged or known.observed_generation == self.metadata.generation else None

    def _kept(self, kind: ConditionType, error: TransientError, unchanged: bool) -> Finding | None:
        known, since = self.known(kind, unchanged=unchanged), self.unconfirmed_since
        if known is None:
            return None
        self.unconfirmed = True
        if self.now - since > self.grace:
            return None
        what = known.message.partition(UNCONFIRMED)[0]
        return Finding.true(kind, known.reason, f"{what}{UNCONFIRMED}{since:%H:%M} UTC: {error})")

    @property
    def unconfirmed_since(self) -> datetime:
        """Since when not everything could be looked at; now, if all of it was up to now."""
        since = self.before.unconfirmed_since
        return datetime.fromisoformat(since) if since else self.now

    async def unless_changed(self, slow: Coroutine[Any, Any, T]) -> T:
        """Wait for something slow, but only for as long as people still want it.

        Raises:
            TransientError: The resource was changed or deleted meanwhile; what is wanted now is looked at next.
        """
        work = asyncio.ensure_future(slow)
        change = asyncio.ensure_future(self.changed.wait())
        try:
            await asyncio.wait({work, change}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise TransientError("the resource was changed meanwhile", reason=Reason.PROGRESSING, retry_after=0)
            return work.result()
        finally:
            for task in (work, change):
                task.cancel()
            await asyncio.gather(work, change, return_exceptions=True)

    async def begins(self, kind: ConditionType, reason: Reason, message: str) -> None:
        """Say at once what starts and may take long: once for each generation of the resource."""
        ready = self.before.condition(ConditionType.READY)
        if ready is not None and ready.observed_generation == self.metadata.generation:
            return
        self.findings[kind] = Finding.unknown(kind, reason, message)
        await self._write(self.status())

    async def remember(self) -> None:
        """Write down where groups will be and what has been tried, before it happens: a crash must not forget it."""
        noted = {"placements": list(self.placements), "attempts": list(self.attempts), "batch": self.batch}
        if any(getattr(self.before, name) != value for name, value in noted.items()):
            await self._write(self.before.model_copy(update=noted))

    async def _write(self, status: Status) -> None:
        await self.write(status)
        self.before = status

    def status(self) -> Status:
        """Return the status that everything amounts to."""
        generation = self.metadata.generation
        found = aspects(self.findings, self._known, generation)
        ready = self.findings.get(ConditionType.READY) or readiness(found)
        occasional = (ConditionType.DRIFTED, ConditionType.COMPLETE, ConditionType.FAILED)
        extra = [self.findings[kind] for kind in occasional if kind in self.findings]
        if ready.status is not ConditionStatus.TRUE and ready.reason != Reason.PAUSED:
            stalled = isinstance(self.failure, SpecError)
            kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
            extra.append(Finding.true(kind, ready.reason, ready.message))
        groups = self.observation
        return Status(
            observed_generation=generation,
            conditions=stamped([ready, *extra, *found], self.before, generation, self.now),
            replicas=len(groups.groups) if groups else self.before.replicas,
            ready_replicas=len(groups.serving) if groups else self.before.ready_replicas,
            selector=self.selector,
            endpoint=_endpoint(groups) if groups else self.before.endpoint,
            policy=self.host_data[:SHORT_HOST_DATA] or None,
            target=self.target,
            placements=list(self.placements),
            attempts=list(self.attempts),
            batch=self.batch,
            unconfirmed_since=timestamp(self.unconfirmed_since) if self.unconfirmed else None,
            last_handled_reconcile_at=self.handled_reconcile,
            last_handled_resolve_at=self.handled_resolve,
            trust=self._trust(),
        )

    def _trust(self) -> Trust | None:
        before = self.before.trust or Trust()
        trust = Trust(
            host_data=self.host_data or None,
            policy_config_map=self.metadata.name + POLICY_CONFIG_MAP_SUFFIX if self.host_data else None,
            images=list(self.images),
            keys=list(self.keys),
            attestation=self.attestation,
        )
        return trust if self.before.trust is not None or trust != before else None


def _endpoint(groups: Observation) -> str | None:
    addresses = [group.address for group in groups.ready or groups.serving if group.address]
    if not addresses:
        return None
    return f"https://{addresses[0]}"
