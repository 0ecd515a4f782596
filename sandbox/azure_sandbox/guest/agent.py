"""The agent in a container group: `python -m azure_sandbox.guest.agent SERVICES METADATA INGRESS ADDRESS ZONE…`.

Runs in namespaces of its own and keeps them alive. The network's only interface is `lo`; everything that leaves goes
over unix sockets, so there is no way around them:

- UDP 127.0.0.1:53 answers 127.0.0.1 for names of the given zones; other names do not exist
- TCP 127.0.0.1:443 goes to SERVICES, whose other side reads the server name of the TLS greeting
- TCP 169.254.169.254:80 goes to METADATA, which knows which group asks
- INGRESS takes connections from the host: a line with the port, then the bytes. They arrive at ADDRESS, the group's
  own, and not at 127.0.0.1, so that what listens on localhost alone stays out of reach as it is on Azure

It prints `ready` when everything listens, and ends when its standard input does, so that it never outlives its host.
Standard library only.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

METADATA_ADDRESS = "169.254.169.254"

SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS = 0x8916, 0x891C, 0x8914
IFF_UP = 1
CHUNK = 65536


def configure_loopback() -> None:
    """Bring `lo` up and give it the metadata service's address as well (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
        for request, address in ((SIOCSIFADDR, METADATA_ADDRESS), (SIOCSIFNETMASK, "255.255.255.255")):
            packed = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, request, struct.pack("16s16s", b"lo:0", packed))


def answer(query: bytes, zones: Sequence[str]) -> bytes | None:
    """Answer one DNS question (RFC 1035): 127.0.0.1 for an A record of a known name; None for what is no question."""
    if len(query) < 17 or query[4:6] != b"\0\1":
        return None
    labels, end = [], 12
    while end < len(query) and query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode("ascii", "replace").lower())
        end += 1 + query[end]
    question, name = query[12 : end + 5], ".".join(labels)
    known = any(name == zone or name.endswith(f".{zone}") for zone in zones)
    is_address = query[end + 1 : end + 3] == b"\0\1"
    flags = b"\x81\x80" if known else b"\x81\x83"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.1") if known and is_address else b""
    return query[:2] + flags + b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0" + question + record


class Resolver(asyncio.DatagramProtocol):
    """Answers DNS questions over UDP."""

    def __init__(self, zones: Sequence[str]) -> None:
        self._zones = zones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        reply = answer(data, self._zones)
        if reply is not None:
            self._transport.sendto(reply, addr)


async def outward(path: Path, host: str, port: int) -> None:
    """Carry each connection to a port in here to a unix socket."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await exchange(reader, writer, *await asyncio.open_unix_connection(path))
        writer.close()

    await asyncio.start_server(carry, host, port)


async def inward(path: Path, address: str) -> None:
    """Carry each connection to the unix socket to the port of the group's address that its first line names."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            port = int(await reader.readline())
            await exchange(reader, writer, *await asyncio.open_connection(address, port))
        writer.close()

    await asyncio.start_unix_server(carry, path)


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    other_reader: asyncio.StreamReader,
    other_writer: asyncio.StreamWriter,
) -> None:
    """Copy both ways until both sides have said all."""
    try:
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
    finally:
        other_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def serve(services: Path, metadata: Path, ingress: Path, address: str, zones: Sequence[str]) -> None:
    """Listen everywhere, then say so."""
    configure_loopback()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Resolver(zones), local_addr=("127.0.0.1", 53))
    await outward(services, "127.0.0.1", 443)
    await outward(metadata, METADATA_ADDRESS, 80)
    await inward(ingress, address)
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5:]))
