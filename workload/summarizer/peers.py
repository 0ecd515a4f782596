"""What each peer asked for in the last minute, of what costs something: signing in, and evidence."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from summarizer.errors import Busy

_WINDOW_SECONDS: Final = 60.0
# More than ever read one page; beyond, the one that was silent longest is forgotten.
_MOST_PEERS: Final = 4096


@dataclass(frozen=True)
class Limit:
    """What one peer may ask for.

    Attributes:
        what: For what.
        a_minute: Requests within a minute.
        at_once: Requests that wait for their answer at the same time.
    """

    what: str
    a_minute: int
    at_once: int


# Tokens are beyond guessing; this bounds what guessing costs.
SIGN_IN: Final = Limit("sign-in", a_minute=10, at_once=2)
# The operator asks every two seconds until a group answers; one peer must not fill the queue for the others.
EVIDENCE: Final = Limit("evidence", a_minute=60, at_once=2)
RETRY_AFTER: Final = {"Retry-After": str(int(_WINDOW_SECONDS))}


@dataclass
class _Peer:
    times: deque[float] = field(default_factory=deque)
    now: int = 0


class Peers:
    """Who asked for what in the last minute: one count for all ways to the same thing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._peers: OrderedDict[tuple[Limit, str], _Peer] = OrderedDict()
        # The page's script runs in a thread for each visitor, the API in the server's.
        self._lock = Lock()

    @contextmanager
    def admitted(self, address: str, limit: Limit) -> Iterator[None]:
        """Count one request of a peer, from now until the block ends.

        Raises:
            Busy: It is one more than the limit.
        """
        with self._lock:
            peer = self._peer(address, limit)
            if peer.now >= limit.at_once or len(peer.times) >= limit.a_minute:
                raise Busy("you ask too often: ask again in a minute")
            peer.times.append(self._clock())
            peer.now += 1
        try:
            yield
        finally:
            with self._lock:
                peer.now -= 1

    def _peer(self, address: str, limit: Limit) -> _Peer:
        peer = self._peers.setdefault((limit, address), _Peer())
        self._peers.move_to_end((limit, address))
        while len(self._peers) > _MOST_PEERS:
            self._peers.popitem(last=False)
        while peer.times and self._clock() - peer.times[0] >= _WINDOW_SECONDS:
            peer.times.popleft()
        return peer
