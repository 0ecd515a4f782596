"""Builds the operator's edges once: the API server, the registry, the vaults and the pages; and runs it over them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confidential_summarizer import metrics
from confidential_summarizer.azure import transport
from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.azure.container_groups import Subscriptions
from confidential_summarizer.azure.credentials import credential, token
from confidential_summarizer.azure.keys import Vaults
from confidential_summarizer.errors import SummarizerError, TransientError
from confidential_summarizer.evidence import SigningKey, signing_keys
from confidential_summarizer.health import Health, serving
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.kube.client import connect
from confidential_summarizer.measurement.cache import DiskCache, MemoryCache
from confidential_summarizer.measurement.shared import SharedMeasurer
from confidential_summarizer.operation import operate
from confidential_summarizer.pages import PageClient
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.registry.azure import AUDIENCE, AzureIdentity
from confidential_summarizer.settings import Settings
from confidential_summarizer.targets.table import targets

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 2.0
"""Between two tries to reach the API server at the start."""
KEYS_SECONDS = 30.0
"""How long the keys of an attestation service serve every group: it publishes a key well before it signs with it."""


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop.

    Raises:
        TransientError: The lease was lost; whoever restarts the process lets it stand by again.
    """
    health = Health()
    transport.observe(metrics.answered)
    async with serving(settings, health), clients(settings) as edges:
        await operate(edges, settings, health)


@asynccontextmanager
async def clients(settings: Settings) -> AsyncIterator[Clients]:
    """Open every edge; all of them close when the operator stops."""
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(connected())
        identity = await stack.enter_async_context(credential())
        cache = DiskCache(Path(settings.cache)) if settings.cache else MemoryCache()
        pages = await stack.enter_async_context(PageClient())
        subscriptions = await stack.enter_async_context(Subscriptions(identity, cloud=settings.cloud))
        yield Clients(
            kube=kube,
            measurer=SharedMeasurer(cache, AzureIdentity(lambda: token(identity, AUDIENCE))).with_pull_secret,
            vaults=await stack.enter_async_context(Vaults(identity)),
            targets=targets(kube, subscriptions, pages),
            pages=pages,
            signing_keys=AuthorityKeys(_signing_keys),
        )


@asynccontextmanager
async def connected(pause: float = CONNECT_SECONDS) -> AsyncIterator[KubernetesAPI]:
    """Connect to the API server, and wait for one that is away: a process that ended would come back ever later."""
    async with AsyncExitStack() as stack:
        while True:
            try:
                kube = await stack.enter_async_context(connect())
                break
            except TransientError as error:
                logger.warning("%s; it is asked again", error)
                await asyncio.sleep(pause)
        yield kube


@dataclass
class AuthorityKeys:
    """The keys of attestation services, asked for once by all groups that prove themselves at about the same time.

    Args:
        ask: Asks a service, given by its host name.
    """

    ask: Callable[[str], Coroutine[Any, Any, tuple[SigningKey, ...]]]
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, asyncio.Future[tuple[SigningKey, ...]]]] = field(default_factory=dict)

    async def __call__(self, authority: str) -> tuple[SigningKey, ...]:
        """Return the keys; what asking raised is shared, too, and asked anew the next time."""
        known = self._known.get(authority)
        if known is None or self.clock() - known[0] > KEYS_SECONDS:
            known = self._known[authority] = (self.clock(), asyncio.ensure_future(self.ask(authority)))
        try:
            # One who is cancelled must not take the answer from the others.
            return await asyncio.shield(known[1])
        except SummarizerError:
            if self._known.get(authority) is known:
                del self._known[authority]
            raise


async def _signing_keys(authority: str) -> tuple[SigningKey, ...]:
    async with AttestationService(authority) as service:
        return signing_keys(await service.signing_keys())
