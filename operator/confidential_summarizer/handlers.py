"""Kopf, and nothing else: which events of the API server wake the reconcile of which resource.

One daemon for each resource runs the one reconcile in a loop. It serves creation, updates, the operator's restart and
the resync alike; every other handler only wakes it. So no event can be handled twice or in the wrong order.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from typing import Any

import kopf

from confidential_summarizer.api.names import (
    FINALIZER,
    GRANT_PLURAL,
    GROUP,
    INSTANCE_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLURAL,
    VERSION,
)
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.metrics import RECONCILES, observed
from confidential_summarizer.reconcile.run import Reconciler
from confidential_summarizer.settings import Settings
from confidential_summarizer.wiring import clients, serve_metrics

logger = logging.getLogger(__name__)

RESOURCE = (GROUP, VERSION, PLURAL)
JITTER = 0.1
"""Share by which every wait varies, so that many resources do not come at once after a restart."""
RECONCILE_SECONDS = 900.0
"""Longest that one reconcile may take: measuring a large image over a slow line; beyond it, something hangs."""
RETRY_SECONDS = (5.0, 10.0, 30.0, 60.0)
"""Waits after reconciles that could not even write a status; the last one repeats."""
REMOVAL_POLL_SECONDS = 2.0
"""While groups go away, which takes a container group some seconds."""


class Alarms:
    """One alarm for each resource; ringing it ends the wait of its daemon."""

    def __init__(self) -> None:
        self._events: dict[tuple[str | None, str], asyncio.Event] = {}

    def of(self, namespace: str | None, name: str) -> asyncio.Event:
        """Return the alarm of a resource."""
        return self._events.setdefault((namespace, name), asyncio.Event())

    def ring_all(self) -> None:
        """Ring the alarm of every resource."""
        for event in self._events.values():
            event.set()

    def forget(self, namespace: str | None, name: str) -> None:
        """Drop the alarm of a resource that is gone."""
        self._events.pop((namespace, name), None)


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Tell Kopf our names and limits; reference: "Configuration" in Kopf's documentation."""
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.posting.reporting_component = MANAGED_BY
    settings.posting.loggers = False
    settings.queueing.worker_limit = 20
    # Managed clusters drop idle watches without a word; a short life makes that a hiccup instead of silence.
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.peering.standalone = True
    # The kinds are known: no need for the right to list every CRD and namespace of the cluster.
    settings.scanning.disabled = True


@kopf.daemon(*RESOURCE, cancellation_timeout=30.0)
async def reconcile(namespace: str | None, name: str, stopped: kopf.DaemonStopped, memo: Any, **_: Any) -> None:
    """Reconcile a resource for as long as it exists."""
    alarm = memo.alarms.of(namespace, name)
    failures = 0
    while not stopped:
        alarm.clear()
        try:
            with observed():
                async with asyncio.timeout(RECONCILE_SECONDS):
                    wait = await memo.reconciler.reconcile(namespace, name)
            failures = 0
        except (SummarizerError, TimeoutError) as error:
            RECONCILES.labels(result="error").inc()
            wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
            cause = error if isinstance(error, SummarizerError) else f"not done after {RECONCILE_SECONDS:.0f} s"
            logger.warning("%s/%s: %s; next try in %.0f s", namespace, name, cause, wait)
        if wait is None:
            return
        await _sleep(wait * random.uniform(1 - JITTER, 1 + JITTER), alarm, stopped)  # noqa: S311 - not for secrets


@kopf.on.delete(*RESOURCE)
async def remove(namespace: str | None, name: str, memo: Any, **_: Any) -> None:
    """Hold the finalizer until nothing is left outside the resource."""
    if not await memo.reconciler.remove(namespace, name):
        raise kopf.TemporaryError("container groups are going away", delay=REMOVAL_POLL_SECONDS)
    memo.alarms.forget(namespace, name)


@kopf.on.event(*RESOURCE)
async def wake(namespace: str | None, name: str, memo: Any, **_: Any) -> None:
    """Wake the daemon when its resource changes."""
    memo.alarms.of(namespace, name).set()


@kopf.on.event("v1", "pods", labels={MANAGED_BY_LABEL: MANAGED_BY})
@kopf.on.event("apps", "v1", "deployments", labels={MANAGED_BY_LABEL: MANAGED_BY})
async def wake_owner(namespace: str | None, labels: Mapping[str, str], memo: Any, **_: Any) -> None:
    """Wake the daemon when something that was deployed for its resource changes."""
    memo.alarms.of(namespace, labels.get(INSTANCE_LABEL, "")).set()


@kopf.on.event(GROUP, VERSION, GRANT_PLURAL)
async def grants_changed(memo: Any, **_: Any) -> None:
    """Let every resource look at the grants again when one of them changes."""
    memo.reconciler.clients.grants.forget()
    memo.alarms.ring_all()


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    async with clients(settings) as edges, serve_metrics(settings):
        memo = kopf.Memo(alarms=Alarms(), reconciler=Reconciler(edges, _record))
        namespaces = [n.strip() for n in settings.namespaces.split(",") if n.strip()]
        await kopf.operator(memo=memo, clusterwide=not namespaces, namespaces=namespaces, standalone=True)


def _record(resource: Mapping[str, Any], *, normal: bool, reason: str, message: str) -> None:
    document: Any = {**resource, "apiVersion": f"{GROUP}/{VERSION}", "kind": KIND}
    kopf.event(kopf.Body(document), type="Normal" if normal else "Warning", reason=reason, message=message)


async def _sleep(seconds: float, alarm: asyncio.Event, stopped: kopf.DaemonStopped) -> None:
    """Wait, but no longer than until the alarm rings or the daemon has to stop."""
    waits = [asyncio.ensure_future(alarm.wait()), asyncio.ensure_future(stopped.wait(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wait
