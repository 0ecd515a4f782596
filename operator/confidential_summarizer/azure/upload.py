"""Send a file to a blob in parallel pieces, and go on where an earlier try ended."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient

PIECE = 4 * 1024 * 1024
"""Bytes of a piece; a blob may have 50 000 of them, 195 GiB."""

PARALLEL = 8
"""Pieces on their way at a time: fills a gigabit line over 60 ms, and holds 32 MiB of memory."""

UploadProgress = Callable[[int, int], None]


class BlockUpload:
    """A block blob: pieces are staged under names that hold their digest, then committed at once."""

    def __init__(self, blob: BlobClient, image: Path, size: int, progress: UploadProgress | None) -> None:
        self._blob = blob
        self._image = image
        self._size = size
        self._progress = progress or (lambda _done, _total: None)
        self._done = 0
        self._room = asyncio.Semaphore(PARALLEL)

    async def run(self, metadata: Mapping[str, str]) -> None:
        """Send what is not staged yet, and commit; until then readers see the old blob or none."""
        self._staged = await self._uncommitted()
        self._names: dict[int, str] = {}
        await _ungrouped(self._each(range(0, self._size, PIECE)))
        blocks = [BlobBlock(self._names[offset]) for offset in sorted(self._names)]
        await self._blob.commit_block_list(blocks, metadata=dict(metadata), validate_content=True)

    async def _each(self, offsets: Iterable[int]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for offset in offsets:
                await self._room.acquire()
                tasks.create_task(self._one(offset))

    async def _one(self, offset: int) -> None:
        try:
            data = await asyncio.to_thread(self._read, offset)
            await self._send(offset, data)
            self._advance(len(data))
        finally:
            self._room.release()

    def _read(self, offset: int) -> bytes:
        with self._image.open("rb") as file:
            file.seek(offset)
            return file.read(PIECE)

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._size)

    async def _send(self, offset: int, data: bytes) -> None:
        name = _block_name(offset, data)
        self._names[offset] = name
        if (name, len(data)) not in self._staged:
            await self._blob.stage_block(name, data, length=len(data), validate_content=True)

    async def _uncommitted(self) -> set[tuple[str, int]]:
        try:
            _, uncommitted = await self._blob.get_block_list("uncommitted")
        except ResourceNotFoundError:
            return set()
        return {(block.id, block.size) for block in uncommitted}


async def _ungrouped(work: Awaitable[None]) -> None:
    """Await a task group and raise its first error by itself, so that one conversion fits all calls."""
    try:
        await work
    except* Exception as group:  # noqa: BLE001 - raised again right below
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _block_name(offset: int, data: bytes) -> str:
    """Return a block's id: all ids of a blob have one length; the digest makes a changed file send anew."""
    return base64.b64encode(f"{offset:016x}{hashlib.sha256(data).hexdigest()[:32]}".encode()).decode()
