"""Bytes in the order they arrive, read in the portions that a tar asks for."""

from collections.abc import Iterable, Iterator


class ByteStream:
    """Turns chunks of any length into exact reads, without copying large runs.

    Attributes:
        position: Bytes read so far.
    """

    __slots__ = ("_at", "_chunk", "_chunks", "position")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._chunk = b""
        self._at = 0
        self.position = 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end of the stream."""
        end = self._at + count
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            self.position += count
            return data
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes as views that stay valid; fewer only at the end of the stream."""
        while count:
            if self._at == len(self._chunk):
                self._chunk = next(self._chunks, b"")
                self._at = 0
                if not self._chunk:
                    return
            piece = memoryview(self._chunk)[self._at : self._at + count]
            self._at += len(piece)
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""
        return sum(len(piece) for piece in self.pieces(count))

    def drain(self) -> None:
        """Read to the end, so that whoever hashes the chunks has seen every byte."""
        self.position += len(self._chunk) - self._at + sum(map(len, self._chunks))
        self._chunk, self._at = b"", 0
