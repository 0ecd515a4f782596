"""The web application: the streamlit page at `/`, and its API below `/api/`."""

from pathlib import Path
from typing import Final

import streamlit
from starlette.middleware import Middleware
from streamlit.web.bootstrap import load_config_options

from summarizer import api, page
from summarizer.access import KnownHosts, NoUploads, SameOriginSockets, SecurityHeaders, TokenAccess
from summarizer.context import Context, set_context
from summarizer.throttle import PeerLimits

STREAMLIT_OPTIONS: Final = {
    # Left alone, it believes that it is being developed when it does not lie in a folder named site-packages.
    "global.developmentMode": False,
    "server.headless": True,
    "server.enableXsrfProtection": True,
    # Means: answer no other site.
    "server.enableCORS": True,
    # Read for one thing: whether streamlit's own cookies are for TLS only.
    "server.sslCertFile": "in memory",
    "server.fileWatcherType": "none",
    # MB: of what a reader chose and typed.
    "server.maxWidgetStateSize": 1,
    "server.disconnectedSessionTTL": 60,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    # No base: the page is light or dark as the reader's system is.
    "theme.light.primaryColor": "#0f5c8c",
    "theme.dark.primaryColor": "#2a7ab0",  # read on it: white; it on: near black (WCAG 1.4.3 and 1.4.11)
}


def create_app(context: Context) -> streamlit.App:
    """Return the ASGI application."""
    set_context(context)
    load_config_options(STREAMLIT_OPTIONS)
    middleware = [Middleware(guard) for guard in (SecurityHeaders, KnownHosts, SameOriginSockets, NoUploads)]
    middleware.append(Middleware(PeerLimits, peers=context.peers))
    if context.settings.token_sha256 is not None:
        middleware.append(Middleware(TokenAccess, token_sha256=context.settings.token_sha256, peers=context.peers))
    return streamlit.App(Path(page.__file__), routes=api.routes(context), middleware=middleware)
