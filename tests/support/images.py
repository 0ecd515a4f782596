"""Where the file system of a layer is written for real, so that other tools can look at it."""

from pathlib import Path

from confidential_summarizer.measurement.convert import convert
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.verity import VerityTree

BLOCK = 4096


class ImageSink:
    """Keeps every block, beside the tree that hashes it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.tree = VerityTree()

    @property
    def count(self) -> int:
        """Blocks so far."""
        return len(self.data) // BLOCK

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add whole blocks."""
        self.data += data
        self.tree.append(data)

    def append_zeros(self, count: int) -> None:
        """Add blocks of zeros."""
        self.data += bytes(count * BLOCK)
        self.tree.append_zeros(count)

    def append_replaceable(self, block: bytes) -> None:
        """Add a block that may change."""
        self.data += block
        self.tree.append_replaceable(block)

    def replace(self, index: int, block: bytes) -> None:
        """Change a block."""
        self.data[index * BLOCK : (index + 1) * BLOCK] = block
        self.tree.replace(index, block)


def file_system(tar: bytes, path: Path | None = None) -> tuple[bytes, str]:
    """The file system of a tar and its root hash; written to a file if one is given."""
    sink = ImageSink()
    convert(ByteStream([tar]), sink)
    if path:
        path.write_bytes(sink.data)
    return bytes(sink.data), sink.tree.root().hex()


def root_hash(tar: bytes, chunk: int = 1 << 20) -> str:
    """The root hash of a tar that arrives in chunks."""
    tree = VerityTree()
    convert(ByteStream(tar[start : start + chunk] for start in range(0, len(tar), chunk)), tree)
    return tree.root().hex()
