"""Builds the operator's edges once: the API server, the registry, the vaults and the pages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.azure.container_groups import Subscriptions
from confidential_summarizer.azure.credentials import credential, token
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.evidence import SigningKey, signing_keys
from confidential_summarizer.kube.client import connect
from confidential_summarizer.measurement.cache import DiskCache, MemoryCache
from confidential_summarizer.measurement.shared import SharedMeasurer
from confidential_summarizer.pages import PageClient
from confidential_summarizer.reconcile.context import Clients
from confidential_summarizer.registry.azure import AUDIENCE, AzureIdentity
from confidential_summarizer.settings import Settings
from confidential_summarizer.targets.table import targets


@asynccontextmanager
async def clients(settings: Settings) -> AsyncIterator[Clients]:
    """Open every edge; all of them close when the operator stops."""
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(connect())
        identity = await stack.enter_async_context(credential())
        cache = DiskCache(Path(settings.cache)) if settings.cache else MemoryCache()
        pages = await stack.enter_async_context(PageClient())
        subscriptions = await stack.enter_async_context(Subscriptions(identity, cloud=settings.cloud))
        yield Clients(
            kube=kube,
            measurer=SharedMeasurer(cache, AzureIdentity(lambda: token(identity, AUDIENCE))).with_pull_secret,
            vaults=lambda host: KeyVault(host, identity),
            targets=targets(kube, subscriptions, pages),
            pages=pages,
            signing_keys=_signing_keys,
        )


async def _signing_keys(authority: str) -> tuple[SigningKey, ...]:
    async with AttestationService(authority) as service:
        return signing_keys(await service.signing_keys())


@asynccontextmanager
async def serve_metrics(settings: Settings) -> AsyncIterator[None]:
    """Serve /healthz, /readyz and /metrics for as long as the operator runs."""

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthy), web.get("/readyz", healthy), web.get("/metrics", metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    try:
        yield
    finally:
        await runner.cleanup()
