"""Runs the operator: stands by until it may lead, waits for its kind, then watches and works until it has to stop."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from confidential_summarizer import metrics
from confidential_summarizer.errors import AccessDenied, SummarizerError, TransientError
from confidential_summarizer.handlers import watch
from confidential_summarizer.health import Health, Stage, every_resource
from confidential_summarizer.kube import GRANT, SUMMARIZER, KubernetesAPI
from confidential_summarizer.kube.events import Events
from confidential_summarizer.kube.lease import Lease
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.loops import Loops
from confidential_summarizer.reconcile.run import Reconciler
from confidential_summarizer.settings import Settings

logger = logging.getLogger(__name__)

LEASE_NAME = "confidential-summarizer"
CRD_SECONDS = 2.0
"""Between two looks for the CustomResourceDefinition."""


async def operate(edges: Clients, settings: Settings, health: Health) -> None:
    """Lead, watch and work, over edges that are open."""
    namespaces = [n.strip() for n in settings.namespaces.split(",") if n.strip()]
    async with leadership(edges.kube, settings, health) as lost:
        reconciler = Reconciler(
            edges,
            Events(edges.kube),
            grace=timedelta(seconds=settings.grace_seconds),
            key_patience=timedelta(seconds=settings.key_patience_seconds),
        )
        while True:
            await kinds_served(edges.kube, namespaces, health)
            try:
                return await work(Loops(reconciler, metrics.finished), edges.kube, namespaces, health, lost)
            except SummarizerError:
                raise
            except Exception:
                # Kopf gives up when a kind is taken away. Somebody may be installing it anew.
                if await missing_kind(edges.kube, namespaces) is None:
                    raise


async def work(
    loops: Loops, kube: KubernetesAPI, namespaces: list[str], health: Health, lost: asyncio.Future[None]
) -> None:
    """Watch and work until the process has to stop.

    Raises:
        TransientError: Another process may lead now.
    """
    health.loops, health.stage = loops, Stage.WATCHING
    working: set[asyncio.Future[None]] = {
        asyncio.create_task(watch(loops, namespaces), name="watch"),
        asyncio.create_task(health.compare(kube, namespaces), name="comparison"),
    }
    with metrics.Fleet(loops):
        try:
            done, _ = await asyncio.wait({*working, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # What works stops first: whoever leads next may start as soon as the lease is free.
            await loops.close()
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    if lost in done:
        raise TransientError("another process may lead now, so this one stops")
    for task in done:
        task.result()


@asynccontextmanager
async def leadership(kube: KubernetesAPI, settings: Settings, health: Health) -> AsyncIterator[asyncio.Future[None]]:
    """Wait until this process may work; yields a future that ends when it may no longer."""
    if not settings.lease_namespace:
        metrics.LEADER.set(1)
        yield asyncio.get_running_loop().create_future()
        return
    identity = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    lease = Lease(kube, settings.lease_namespace, LEASE_NAME, identity)
    health.stage = Stage.STANDBY
    metrics.LEADER.set(0)
    async with lease.held() as lost:
        metrics.LEADER.set(1)
        try:
            yield lost
        finally:
            metrics.LEADER.set(0)


async def kinds_served(kube: KubernetesAPI, namespaces: list[str], health: Health) -> None:
    """Wait until the API server knows our kinds: GitOps may install them after us, and Kopf looks only once.

    A resource that is on its way out is not kept by a kind of grants that went before it.
    """
    health.stage = Stage.WAITING_FOR_CRD
    said = None
    while (missing := await missing_kind(kube, namespaces)) is not None and not await is_left(kube, namespaces):
        if missing != said:
            said = missing
            logger.warning("waiting: %s", said)
        await asyncio.sleep(CRD_SECONDS)


async def is_left(kube: KubernetesAPI, namespaces: list[str]) -> bool:
    """Tell whether some resource waits to be let go."""
    try:
        return any("deletionTimestamp" in one["metadata"] for one in await every_resource(kube, namespaces))
    except SummarizerError:
        return False


async def missing_kind(kube: KubernetesAPI, namespaces: list[str]) -> str | None:
    """Return why one of our kinds cannot be listed now; None if both can.

    Raises:
        AccessDenied: The service account may not: nothing that waiting would change.
    """
    try:
        await kube.list(SUMMARIZER, namespaces[0] if namespaces else "", limit=1)
        await kube.list(GRANT, "", limit=1)
    except AccessDenied:
        raise
    except SummarizerError as error:
        return str(error)
    return None
