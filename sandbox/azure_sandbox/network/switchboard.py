"""The outer end of each container group's two sockets: TLS by server name, and the group's own metadata service."""

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from azure_sandbox.faults import Faults
from azure_sandbox.guest.api import GroupNetwork
from azure_sandbox.network.client_hello import RECORD_HEADER, NotAClientHello, record_length, server_name
from azure_sandbox.network.names import ZONES, exists
from azure_sandbox.network.relay import Connection, close, connected, relay
from confidential_summarizer.errors import SpecError

HELLO_SECONDS = 30.0

STEM_LENGTH = 12
"""Hex digits of a group's hash that name its sockets."""

MAX_SOCKET_PATH = 107
"""Bytes of a unix socket's address without the zero at its end (unix(7))."""

log = logging.getLogger(__name__)


@dataclass
class _Line:
    network: GroupNetwork
    services: asyncio.Server
    metadata: web.AppRunner


class Switchboard:
    """Opens and closes the lines of container groups.

    Args:
        services: The stand-ins' port on 127.0.0.1.
        run: Directory for the sockets.
        authorities: PEM file with those that groups have to trust.
        faults: What goes wrong on purpose.

    Raises:
        SpecError: The directory's path is too long for a socket below it.
    """

    def __init__(self, services: int, run: Path, authorities: Path, faults: Faults) -> None:
        excess = len(bytes(run / f"{'0' * STEM_LENGTH}.imds")) - MAX_SOCKET_PATH
        if excess > 0:
            text = f"{run} is {excess} characters too long for unix sockets: set CSUM_SANDBOX_HOME to a shorter path"
            raise SpecError(text)
        self.services = services
        self.run = run
        self.authorities = authorities
        self.faults = faults
        self._lines: dict[str, _Line] = {}
        self._open: set[asyncio.Task[None]] = set()

    async def open(self, group: str, address: str, metadata: web.Application) -> GroupNetwork:
        """Open a group's lines.

        Args:
            group: Name of the group.
            address: The group's loopback address.
            metadata: The application that answers on 169.254.169.254 for this group.

        Raises:
            OSError: The sockets cannot be made.
        """
        await self.close(group)
        stem = hashlib.sha256(group.encode()).hexdigest()[:STEM_LENGTH]
        services_socket, metadata_socket = (self.run / f"{stem}.{kind}" for kind in ("tls", "imds"))
        network = GroupNetwork(address, services_socket, metadata_socket, ZONES, self.authorities)
        self.run.mkdir(parents=True, exist_ok=True)
        for path in (network.services_socket, network.metadata_socket):
            path.unlink(missing_ok=True)
        services = await asyncio.start_unix_server(self._accept, network.services_socket)
        runner = web.AppRunner(metadata, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(network.metadata_socket)).start()
        self._lines[group] = _Line(network, services, runner)
        return network

    async def close(self, group: str) -> None:
        """Close a group's lines; harmless when there are none."""
        line = self._lines.pop(group, None)
        if line is None:
            return
        line.services.close()
        await line.metadata.cleanup()
        for path in (line.network.services_socket, line.network.metadata_socket):
            path.unlink(missing_ok=True)

    async def close_all(self) -> None:
        """Close every line and drop the connections that are open."""
        for group in tuple(self._lines):
            await self.close(group)
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Connection(reader, writer)))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, guest: Connection) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                header = await guest.reader.readexactly(RECORD_HEADER)
                record = await guest.reader.readexactly(record_length(header))
            host = server_name(record)
            await self._forward(guest, host, header + record)
        except NotAClientHello as error:
            log.info("dropped a connection of a group: %s", error)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("a connection of a group ended: %s", error)
        finally:
            with contextlib.suppress(OSError):
                await close(guest.writer)

    async def _forward(self, guest: Connection, host: str, opening: bytes) -> None:
        if not exists(host):
            log.info("a group asked for %s, which does not exist in the sandbox", host)
            return
        async with self.faults.connection(host), connected("127.0.0.1", self.services) as upstream:
            upstream.writer.write(opening)
            await relay(guest, upstream)
