"""The ports of a container group, on the host's side: listeners on the group's address."""

import asyncio
import contextlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from azure_sandbox.network.relay import Connection, close, relay
from confidential_summarizer.errors import TransientError


class Ingress:
    """Listens on a group's address and carries connections into its namespace.

    Args:
        address: The group's loopback address.
        inner: The agent's unix socket.
    """

    def __init__(self, address: str, inner: Path) -> None:
        self._address = address
        self._inner = inner
        self._servers: list[asyncio.Server] = []

    async def up(self, ports: Iterable[int]) -> None:
        """Let ports in.

        Raises:
            TransientError: Something else listens there.
        """
        for port in sorted(set(ports)):
            try:
                self._servers.append(await asyncio.start_server(partial(self._carry, port), self._address, port))
            except OSError as error:
                await self.down()
                raise TransientError(f"{self._address}:{port} cannot be listened on: {error.strerror}") from error

    async def down(self) -> None:
        """Let nothing in any more; harmless when nothing was."""
        for server in self._servers:
            server.close()
        self._servers = []

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner = Connection(*await asyncio.open_unix_connection(self._inner))
            inner.writer.write(f"{port}\n".encode())
            await relay(Connection(reader, writer), inner)
            await close(inner.writer)
        await close(writer)
