"""One task for each resource: look at it, pause, look again. Nothing that the API server tells ever waits for it.

Kopf runs its handlers inside workers, and sleeps there until a delayed handler is due (kopf 1.45,
_core/actions/application.py): a deletion that cannot finish would hold its worker for as long. So handlers only ring
here, and everything that takes time happens in these tasks, of which so many at once may work.
"""

import asyncio
import contextlib
import contextvars
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from confidential_summarizer.api.names import GROUP
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.reconcile.patience import FLOOR_SECONDS, RETRY_SECONDS, growing
from confidential_summarizer.reconcile.run import Reconciler, Result, Visit

logger = logging.getLogger(__name__)

JITTER = 0.1
"""Share by which every pause varies, so that many resources do not come at once after a restart."""
VISIT_SECONDS = 900.0
"""Longest that one look may take: measuring a large image over a slow line; beyond it, something hangs."""
CONCURRENT = 32
"""Looks that begin at a time: enough to use both cores while calls wait, few enough for the services."""
TURN_SECONDS = 2.0
"""Who takes longer waits for somebody, not for us, and lets the next one begin: what hangs must hold up nobody else."""
LATE_SECONDS = 0.25
"""A timer that rings later than this says that it is us: with one more begun everything would only take longer, until
all resources are looked at at once, with all that they need in memory."""

Key = tuple[str, str]
"""Namespace and name of a resource."""


@dataclass(eq=False)
class Loop:
    """The task of one resource.

    Attributes:
        alarm: Rung when there is a reason to look before the pause is over.
        changed: Set when people changed the resource, until the next look at it.
        seen: What of the resource was last told that decides anything; a status is none of it.
        busy_since: Since when it has been working (time.monotonic), or waiting for its turn.
        failing_since: Since when not even a status could be written (time.monotonic); None: the last look could.
        visit: What came of the last look.
    """

    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    seen: tuple[Any, ...] = ()
    busy_since: float | None = None
    failing_since: float | None = None
    visit: Visit | None = None
    task: asyncio.Task[None] | None = None


class Loops:
    """The tasks of all resources."""

    def __init__(self, reconciler: Reconciler, finished: Callable[[Visit | None, float], None]) -> None:
        """Start with no resource.

        Args:
            reconciler: Looks at one resource.
            finished: Told what came of each look (None: not even a status could be written), and its seconds.
        """
        self._reconciler = reconciler
        self._finished = finished
        self._loops: dict[Key, Loop] = {}
        self._turns = asyncio.Semaphore(CONCURRENT)

    def __iter__(self) -> Iterator[Loop]:
        return iter(self._loops.values())

    def see(self, metadata: Mapping[str, Any]) -> None:
        """Take note of a resource as the API server tells it; look at it if anything changed that we did not write."""
        key = (str(metadata["namespace"]), str(metadata["name"]))
        loop = self._loops.setdefault(key, Loop())
        seen = _decisive(metadata)
        if seen != loop.seen:
            loop.seen = seen
            loop.alarm.set()
            loop.changed.set()
        if loop.task is None:
            # Not in the context of who tells: Kopf keeps the whole object there, and the task would for ever.
            run, name = self._run(key, loop), f"loop of {'/'.join(key)}"
            loop.task = asyncio.create_task(run, name=name, context=contextvars.Context())

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        """Tell whether a resource has been told of as it is."""
        loop = self._loops.get((str(metadata["namespace"]), str(metadata["name"])))
        return loop is not None and loop.seen == _decisive(metadata)

    def ring(self, namespace: str, name: str) -> None:
        """Look at a resource, because something changed that was deployed for it."""
        loop = self._loops.get((namespace, name))
        if loop is not None:
            loop.alarm.set()

    def ring_all(self) -> None:
        """Look at every resource, because what the cluster admin grants has changed."""
        self._reconciler.clients.grants.forget()
        for loop in self:
            loop.alarm.set()

    async def close(self) -> None:
        """Stop all work at once."""
        tasks = [loop.task for loop in self if loop.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key, loop: Loop) -> None:
        while True:
            loop.alarm.clear()
            loop.busy_since = time.monotonic()
            async with _turn(self._turns):
                wait = await self._visit(key, loop)
            loop.busy_since = None
            if wait is None and not loop.alarm.is_set():
                del self._loops[key]
                return
            await asyncio.sleep(FLOOR_SECONDS)
            if wait is not None:
                await _rest(wait * random.uniform(1 - JITTER, 1 + JITTER), loop.alarm)  # noqa: S311 - not for secrets

    async def _visit(self, key: Key, loop: Loop) -> float | None:
        start = time.monotonic()
        visit: Visit | None = None
        try:
            async with asyncio.timeout(VISIT_SECONDS):
                loop.changed.clear()
                visit = await self._reconciler.visit(*key, loop.changed)
            loop.failing_since = None
        except (SummarizerError, TimeoutError) as error:
            cause = str(error) or f"not done after {VISIT_SECONDS:.0f} s"
            logger.warning("%s: %s", "/".join(key), cause, extra={"object": "/".join(key)})
        except Exception:
            logger.exception("%s: a bug", "/".join(key), extra={"object": "/".join(key)})
        self._finished(visit, time.monotonic() - start)
        if visit is None:
            loop.failing_since = loop.failing_since or start
            return growing(time.monotonic() - loop.failing_since, RETRY_SECONDS)
        loop.visit = visit
        return visit.wait if visit.result is not Result.GONE else None


def _decisive(metadata: Mapping[str, Any]) -> tuple[Any, ...]:
    annotations = metadata.get("annotations") or {}
    ours = tuple(sorted((name, value) for name, value in annotations.items() if name.startswith(f"{GROUP}/")))
    return metadata.get("uid"), metadata.get("generation"), metadata.get("deletionTimestamp"), ours


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    """Wait for a turn, and give it on after `TURN_SECONDS` at the latest."""
    await turns.acquire()
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def ring(due: float) -> None:
        nonlocal timer
        timer = None
        if loop.time() - due > LATE_SECONDS:
            start()
        else:
            turns.release()

    def start() -> None:
        nonlocal timer
        due = loop.time() + TURN_SECONDS
        timer = loop.call_at(due, ring, due)

    start()
    try:
        yield
    finally:
        if timer is not None:  # it has not been given on
            timer.cancel()
            turns.release()


async def _rest(seconds: float, alarm: asyncio.Event) -> None:
    """Pause, but no longer than until the alarm rings."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await alarm.wait()
