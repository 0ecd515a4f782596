"""One process, one port: the streamlit page at `/`, its API below `/api/`, and the probes."""

import os
from pathlib import Path
from threading import Thread
from typing import Final

import streamlit
from starlette.middleware import Middleware

from summarizer import api, page
from summarizer.access import SameOriginSockets, SecurityHeaders, TokenAccess
from summarizer.context import Context, set_context
from summarizer.evidence import policy_hash
from summarizer.progress import Progress
from summarizer.settings import Settings
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


def create_app(settings: Settings, progress: Progress) -> streamlit.App:
    """Return the ASGI application."""
    set_context(Context(settings, progress, policy_hash(os.environ)))
    middleware = [Middleware(SecurityHeaders), Middleware(SameOriginSockets)]
    if settings.token_sha256 is not None:
        middleware.append(Middleware(TokenAccess, token_sha256=settings.token_sha256))
    return streamlit.App(Path(page.__file__), routes=api.routes(settings, progress), middleware=middleware)


def serve(settings: Settings) -> None:
    """Start the work in the background and serve until a signal ends the process."""
    progress = Progress()
    app = create_app(settings, progress)
    Thread(target=Worker(settings, progress).run, name="worker", daemon=True).start()
    app.run(config={**STREAMLIT_OPTIONS, "server.address": settings.address, "server.port": settings.port})
