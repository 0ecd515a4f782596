"""One process, one port, TLS only: the streamlit page at `/`, its API below `/api/`, and the probes."""

import os
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

import streamlit
from starlette.middleware import Middleware

from summarizer import api, page
from summarizer.access import KnownHosts, SameOriginSockets, SecurityHeaders, TokenAccess
from summarizer.channel import memory_file, new_channel_key
from summarizer.context import Context, set_context
from summarizer.evidence import EvidenceDesk, policy_hash, token_of_sidecar
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
    "theme.base": "light",
    "theme.primaryColor": "#0f5c8c",
}


def create_app(settings: Settings, progress: Progress, desk: EvidenceDesk | None) -> streamlit.App:
    """Return the ASGI application."""
    set_context(Context(settings, progress, policy_hash(os.environ), desk))
    guards = (SecurityHeaders, KnownHosts, SameOriginSockets, PeerLimits)
    middleware = [Middleware(guard) for guard in guards]
    if settings.token_sha256 is not None:
        middleware.append(Middleware(TokenAccess, token_sha256=settings.token_sha256))
    return streamlit.App(Path(page.__file__), routes=api.routes(settings, progress, desk), middleware=middleware)


def serve(settings: Settings) -> None:
    """Start the work in the background and serve until a signal ends the process."""
    key = new_channel_key()
    desk = None
    if settings.maa is not None:
        desk = EvidenceDesk(partial(token_of_sidecar, settings.skr, settings.maa), key.spki_sha256)
    progress = Progress()
    app = create_app(settings, progress, desk)
    results = None
    if settings.output is not None and settings.output_recipient is not None:
        prefix = BlobPrefix(settings.output, settings.identity)
        results = SealedResults(prefix, settings.output_recipient, key, desk)
    Thread(target=Worker(settings, progress, results).run, name="worker", daemon=True).start()
    channel = memory_file(key.pem)
    listen = {"server.address": settings.address, "server.port": settings.port}
    app.run(config={**STREAMLIT_OPTIONS, **listen, "server.sslCertFile": channel, "server.sslKeyFile": channel})
