"""How often one peer may ask the API for what costs something."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from summarizer.errors import Busy
from summarizer.peers import EVIDENCE, RETRY_AFTER, Limit, Peers

LIMITS: Final[Mapping[tuple[str, str], Limit]] = {
    ("GET", "/api/evidence"): EVIDENCE,
    # The queue has limits of its own; this bounds who waits for it.
    ("POST", "/api/jobs"): Limit("jobs", a_minute=120, at_once=4),
    ("POST", "/api/summarize"): Limit("summaries", a_minute=120, at_once=4),
}
"""What paths of the API ask for. The form to sign in and the page's own evidence are counted where they are made."""


class PeerLimits:
    """Answers 429 to a peer that asks the API more than `LIMITS` allow."""

    def __init__(self, app: ASGIApp, peers: Peers) -> None:
        self._app = app
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        limit = LIMITS.get((_method(scope), scope["path"])) if scope["type"] == "http" else None
        if limit is None:
            await self._app(scope, receive, send)
            return
        with ExitStack() as request:
            try:
                request.enter_context(self._peers.admitted(address_of(scope), limit))
            except Busy as busy:
                answer = JSONResponse({"error": str(busy)}, status_code=429, headers=RETRY_AFTER)
                await answer(scope, receive, send)
            else:
                await self._app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """Return the address of whoever asks."""
    return str((scope.get("client") or ("",))[0])


def _method(scope: Scope) -> str:
    """Return the method whose work a request makes: a route for GET answers HEAD as well."""
    method = str(scope["method"])
    return "GET" if method == "HEAD" else method
