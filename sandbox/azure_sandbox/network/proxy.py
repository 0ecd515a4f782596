"""The CONNECT proxy (RFC 9110 section 9.3.6) that leads the host's Azure clients to the local services."""

import asyncio
import logging
from collections.abc import Mapping

from azure_sandbox.faults import Faults
from azure_sandbox.network.names import exists, is_group
from azure_sandbox.network.relay import Connection, close, connected, relay

HEAD_LIMIT = 16384
"""Bytes of a request head that are read before the client is given up."""

HEAD_SECONDS = 30.0

MAX_PORT = 1 << 16

log = logging.getLogger(__name__)


class ConnectProxy:
    """Connects `host:443` of the sandbox's names to the stand-ins, and addresses of groups as they are.

    The API server is reached as well, by its own address, so that its connections can meet faults. Anything else is
    refused.

    Args:
        ports: Port on 127.0.0.1 by service name.
        faults: What goes wrong on purpose.
    """

    def __init__(self, ports: Mapping[str, int], faults: Faults) -> None:
        self.ports = ports
        self.faults = faults
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=HEAD_LIMIT)

    async def stop(self) -> None:
        """Stop listening and drop the connections that are open."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, client: Connection) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await client.reader.readuntil(b"\r\n\r\n")
            await self._connect(client, head)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("a client of the proxy left: %s", error)
        finally:
            await close(client.writer)

    async def _connect(self, client: Connection, head: bytes) -> None:
        method, _, rest = head.partition(b" ")
        authority = rest.partition(b" ")[0].decode("latin-1")
        if method != b"CONNECT":
            await _answer(client, "405 Method Not Allowed", "This proxy only takes CONNECT.")
            return
        host, _, port = authority.rpartition(":")
        service = "stand_ins" if port == "443" and exists(host) else None
        if is_group(host) and port.isdecimal() and int(port) < MAX_PORT:
            await self._carry(client, host, int(port), host, f"nothing listens at {authority}")
            return
        if authority == f"127.0.0.1:{self.ports.get('apiserver')}":
            service = "apiserver"
        if service is None:
            log.info("refused %s", authority)
            await _answer(client, "502 Bad Gateway", f"{authority} does not exist in the sandbox.")
            return
        refused = f"{authority}: the sandbox's {service} is not running"
        await self._carry(client, "127.0.0.1", self.ports[service], host, refused)

    async def _carry(self, client: Connection, address: str, port: int, host: str, refused: str) -> None:
        try:
            async with connected(address, port) as upstream:
                client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await client.writer.drain()
                async with self.faults.connection(host):
                    await relay(client, upstream)
        except ConnectionRefusedError:
            await _answer(client, "502 Bad Gateway", f"{refused}.")


async def _answer(client: Connection, status: str, text: str) -> None:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.writer.write(head.encode("latin-1") + body)
    await client.writer.drain()
