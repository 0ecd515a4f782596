"""Where page and shard are asked: TLS, with a bound on the connections of a peer and on the time to put a question.

Each connection costs the guest about 300 KiB and one of its files, before anybody has shown a token.
"""

import socket
from asyncio import TimerHandle, Transport
from typing import Any, Final
from weakref import WeakSet

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from summarizer.channel import ChannelKey, memory_file
from summarizer.settings import Settings

# Half of the 1,024 files that a process may have open where nobody says otherwise. A browser holds up to seven.
_CONNECTIONS: Final = 512
_CONNECTIONS_OF_A_PEER: Final = 128
# Far above what a slow line needs for a request's head, 64 KiB at most.
_HEAD_SECONDS: Final = 20.0
# Of a web socket; clicks and typed words are far below.
_MAX_MESSAGE: Final = 1024 * 1024
_PING_SECONDS: Final = 30.0


class Listener(socket.socket):
    """Accepts what is within the bounds, and ends at once what is not."""

    def __init__(self, address: str, port: int) -> None:
        """Listen on an IP address.

        Raises:
            OSError: It cannot be listened on.
        """
        super().__init__(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self._held: WeakSet[_Connection] = WeakSet()
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind((address, port))

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that is within the bounds, and its peer."""
        while True:
            accepted, peer = super().accept()
            connection = _Connection(accepted, peer[0])
            held = [one for one in self._held if one.fileno() != -1]
            if len(held) < _CONNECTIONS and sum(one.peer == peer[0] for one in held) < _CONNECTIONS_OF_A_PEER:
                self._held = WeakSet([*held, connection])
                return connection, peer
            connection.close()


class _Connection(socket.socket):
    """A connection that knows its peer's address, also after it ended."""

    def __init__(self, accepted: socket.socket, peer: str) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.peer = peer


class TimelyProtocol(H11Protocol):
    """HTTP/1.1 with a bound on the time in which a request's head has to be there."""

    _deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for a request's head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what arrives."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def serve_tls(app: ASGIApp, settings: Settings, key: ChannelKey) -> bool:
    """Serve until a signal ends the process; return whether it ever began.

    Raises:
        OSError: The port cannot be listened on.
    """
    channel = memory_file(key.pem)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=TimelyProtocol,
            ws="websockets-sansio",
            ws_max_size=_MAX_MESSAGE,
            ws_per_message_deflate=False,
            ws_ping_interval=_PING_SECONDS,
            ws_ping_timeout=_PING_SECONDS,
            ssl_certfile=channel,
            ssl_keyfile=channel,
            # Nothing stands before it: who asks is who the connection comes from, whatever a header says.
            proxy_headers=False,
            log_config=None,
            access_log=False,
        )
    )
    with Listener(settings.address, settings.port) as listener:
        server.run([listener])
    return server.started
