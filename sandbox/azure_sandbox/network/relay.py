"""Carrying bytes between two connections until both sides have said all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

CHUNK = 65536


@dataclass(frozen=True)
class Connection:
    """One byte stream in both directions."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def relay(one: Connection, other: Connection) -> None:
    """Copy in both directions; an end of data on one side is passed on, the other direction goes on."""
    copies = (
        asyncio.create_task(_copy(one.reader, other.writer)),
        asyncio.create_task(_copy(other.reader, one.writer)),
    )
    try:
        await asyncio.gather(*copies)
    except OSError:
        pass  # one side vanished: what is left of the other has nobody to go to
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


@contextlib.asynccontextmanager
async def connected(host: str, port: int) -> AsyncIterator[Connection]:
    """Open a TCP connection and close it at the end.

    Raises:
        OSError: Nobody listens there.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Connection(reader, writer)
    finally:
        await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection whose other side may have closed it already."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
