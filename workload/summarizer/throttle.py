"""How often one peer may ask for what costs something: signing in, and evidence."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_WINDOW_SECONDS: Final = 60.0
# More than ever read one page; beyond, the one that was silent longest is forgotten.
_MOST_PEERS: Final = 4096


@dataclass(frozen=True)
class Limit:
    """What one peer may do with a path.

    Attributes:
        a_minute: Requests within a minute.
        at_once: Requests that wait for their answer at the same time.
    """

    a_minute: int
    at_once: int


LIMITS: Final[Mapping[tuple[str, str], Limit]] = {
    # Tokens are beyond guessing; this bounds what guessing costs.
    ("POST", "/login"): Limit(a_minute=10, at_once=2),
    # The operator asks every two seconds until a group answers; one peer must not fill the queue for the others.
    ("GET", "/api/evidence"): Limit(a_minute=60, at_once=2),
    # The queue has limits of its own; this bounds who waits for it.
    ("POST", "/api/jobs"): Limit(a_minute=120, at_once=4),
    ("POST", "/api/summarize"): Limit(a_minute=120, at_once=4),
}


@dataclass
class _Peer:
    times: deque[float] = field(default_factory=deque)
    now: int = 0


class PeerLimits:
    """Answers 429 to a peer that asks more than `LIMITS` allow."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._peers: OrderedDict[tuple[str, str], _Peer] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        limit = LIMITS.get((_method(scope), scope["path"])) if scope["type"] == "http" else None
        if limit is None:
            await self._app(scope, receive, send)
            return
        peer = self._peer(scope["path"], (scope.get("client") or ("",))[0])
        if peer.now >= limit.at_once or len(peer.times) >= limit.a_minute:
            body = {"error": "you ask too often: ask again in a minute"}
            answer = JSONResponse(body, status_code=429, headers={"Retry-After": str(int(_WINDOW_SECONDS))})
            await answer(scope, receive, send)
            return
        peer.times.append(self._clock())
        peer.now += 1
        try:
            await self._app(scope, receive, send)
        finally:
            peer.now -= 1

    def _peer(self, path: str, address: str) -> _Peer:
        peer = self._peers.setdefault((path, address), _Peer())
        self._peers.move_to_end((path, address))
        while len(self._peers) > _MOST_PEERS:
            self._peers.popitem(last=False)
        while peer.times and self._clock() - peer.times[0] >= _WINDOW_SECONDS:
            peer.times.popleft()
        return peer


def _method(scope: Scope) -> str:
    """Return the method whose work a request makes: a route for GET answers HEAD as well."""
    method = str(scope["method"])
    return "GET" if method == "HEAD" else method
