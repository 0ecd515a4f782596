"""One layer, measured: diff_id and root hash from the bytes as stored, in a single pass."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from queue import Queue
from typing import Any, Self

from confidential_summarizer.measurement.compression import decompress
from confidential_summarizer.measurement.convert import convert
from confidential_summarizer.measurement.limits import IN_PROCESS, Limits
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.verity import VerityTree

_SHOWN_PATHS = 5
_QUEUED = 4
"""Chunks of 1 MiB between the thread that inflates and the one that hashes blocks."""


@dataclass(frozen=True)
class MeasuredLayer:
    """What one pass over a layer tells.

    Attributes:
        diff_id: `sha256:` and the digest of the uncompressed tar.
        root_hash: The dm-verity root of its file system, 64 hex digits.
        size: Bytes of the uncompressed tar.
        compression: `gzip`, `zstd` or `none`.
        missing_parents: How many entries came before, or without, an entry for their directory.
        examples: The first few of those, for a message.
    """

    diff_id: str
    root_hash: str
    size: int
    compression: str
    missing_parents: int = 0
    examples: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self) | {"examples": list(self.examples)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read back `to_json`; raises TypeError or KeyError on anything else."""
        return cls(**(fields | {"examples": tuple(fields["examples"])}))


def measure_layer(chunks: Iterable[bytes], limits: Limits = IN_PROCESS) -> MeasuredLayer:
    """Measure a layer given as stored, in chunks.

    Raises:
        UnhashableLayer: The reference refuses the layer too.
        BeyondLimits: It costs more than `limits` allow.
        ImageError: The compressed data are damaged.
    """
    compression, tar = decompress(chunks)
    digest = hashlib.sha256()
    size = missing = 0
    examples: list[str] = []

    def hashed() -> Iterator[bytes]:
        nonlocal size
        for chunk in tar:
            digest.update(chunk)
            size += len(chunk)
            limits.check_size(size)
            yield chunk

    def on_missing_parent(path: bytes) -> None:
        nonlocal missing
        missing += 1
        if len(examples) < _SHOWN_PATHS:
            examples.append(path[:255].decode(errors="replace"))

    tree = VerityTree()
    with Ahead(hashed()) as ahead:
        stream = ByteStream(ahead)
        convert(stream, tree, on_missing_parent, limits)
        stream.drain()
    return MeasuredLayer(f"sha256:{digest.hexdigest()}", tree.root().hex(), size, compression, missing, tuple(examples))


class Ahead:
    """Runs an iterator in a thread a few chunks ahead: inflating and hashing both let go of the interpreter's lock."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._queue: Queue[bytes | BaseException | None] = Queue(_QUEUED)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return self._take()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._thread.join(0.01)

    def _take(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        try:
            for chunk in self._chunks:
                if self._stopped.is_set():
                    return
                self._queue.put(chunk)
            self._queue.put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that takes the chunks
            self._queue.put(error)
