"""Bytes in the order they arrive, read in the portions that a tar asks for."""

from collections.abc import Iterable, Iterator


class ByteStream:
    """Turns chunks of any length into exact reads, without copying large runs."""

    __slots__ = ("_at", "_chunk", "_chunks")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._chunk = b""
        self._at = 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end of the stream."""
        start = self._at
        end = start + count
        if end <= len(self._chunk):
            self._at = end
            return self._chunk[start:end]
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterable[memoryview]:
        """The next `count` bytes as views that stay valid; fewer only at the end of the stream."""
        start = self._at
        end = start + count
        if end <= len(self._chunk):
            self._at = end
            return (memoryview(self._chunk)[start:end],)
        return self._pieces_of_chunks(count)

    def _pieces_of_chunks(self, count: int) -> Iterator[memoryview]:
        while count:
            if self._at == len(self._chunk):
                self._chunk = next(self._chunks, b"")
                self._at = 0
                if not self._chunk:
                    return
            piece = memoryview(self._chunk)[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""
        end = self._at + count
        if end <= len(self._chunk):
            self._at = end
            return count
        return sum(len(piece) for piece in self.pieces(count))

    def drain(self) -> None:
        """Read to the end, so that whoever hashes the chunks has seen every byte."""
        for _ in self._chunks:
            pass
        self._chunk, self._at = b"", 0
