"""One process, one port, TLS only: the streamlit page at `/`, its API below `/api/`, and the probes."""

import os
from pathlib import Path
from threading import Thread
from typing import Final

import streamlit
from starlette.middleware import Middleware

from summarizer import api, page
from summarizer.access import KnownHosts, SameOriginSockets, SecurityHeaders, TokenAccess
from summarizer.attestation.custody import Keeper
from summarizer.channel import memory_file, new_channel_key
from summarizer.context import Context, set_context
from summarizer.evidence import Attester, EvidenceDesk, policy_hash
from summarizer.jobs import Jobs
from summarizer.output import SealedResults
from summarizer.progress import Progress
from summarizer.settings import Settings
from summarizer.storage import BlobPrefix
from summarizer.throttle import PeerLimits
from summarizer.worker import Worker

STREAMLIT_OPTIONS: Final = {
    # Left alone, it believes that it is being developed when it does not lie in a folder named site-packages.
    "global.developmentMode": False,
    "server.headless": True,
    "server.enableXsrfProtection": True,
    # Means: answer no other site.
    "server.enableCORS": True,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 1,
    "server.disconnectedSessionTTL": 60,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    # No base: the page is light or dark as the reader's system is.
    "theme.light.primaryColor": "#0f5c8c",
    "theme.dark.primaryColor": "#6cb6e8",
}


def create_app(context: Context) -> streamlit.App:
    """Return the ASGI application."""
    set_context(context)
    guards = (SecurityHeaders, KnownHosts, SameOriginSockets, PeerLimits)
    middleware = [Middleware(guard) for guard in guards]
    if context.settings.token_sha256 is not None:
        middleware.append(Middleware(TokenAccess, token_sha256=context.settings.token_sha256))
    return streamlit.App(Path(page.__file__), routes=api.routes(context), middleware=middleware)


def serve(settings: Settings, keeper: Keeper | None) -> None:
    """Start the work in the background and serve until a signal ends the process.

    Args:
        settings: The configuration.
        keeper: Has reports made; None outside of a confidential guest.
    """
    key = new_channel_key()
    desk = None
    if keeper is not None and settings.maa is not None:
        keeper.evidence_of(key.spki_sha256)
        desk = EvidenceDesk(Attester(keeper.report, settings.maa, os.environ), key.spki_sha256)
    context = Context(settings, Progress(), Jobs(), policy_hash(os.environ), desk)
    app = create_app(context)
    results = None
    if settings.output is not None and settings.output_recipient is not None:
        prefix = BlobPrefix(settings.output, settings.identity)
        results = SealedResults(prefix, settings.output_recipient, key, desk)
    worker = Worker(settings, context.progress, context.jobs, results)
    Thread(target=worker.run, name="worker", daemon=True).start()
    channel = memory_file(key.pem)
    listen = {"server.address": settings.address, "server.port": settings.port}
    app.run(config={**STREAMLIT_OPTIONS, **listen, "server.sslCertFile": channel, "server.sslKeyFile": channel})
