"""How large the ext4 file system of a directory has to be."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confidential_summarizer.errors import SealingError

BLOCK = 4096
"""The sector of the encrypted image and the block of the file system, in bytes."""

INODE = 256
"""Bytes of an inode, room for short extended attributes and nanosecond times included."""

CHUNK = 512 * 1024
"""Images are a multiple of this: the sidecar caches blobs in pieces of 512 KiB."""

SMALLEST = 1024 * 1024
LARGEST = 50_000 * 4 * 1024**2
"""A blob has 50 000 blocks at most, and `csum push` sends them in 4 MiB."""

_BLOCKS_PER_GROUP = 32768
_GROUP_OVERHEAD = 2 + 1
"""Blocks of each group for the two bitmaps, and its share of the descriptor copies, rounded up."""

_SUFFIXES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True)
class FileSystemPlan:
    """The file system to be made.

    Attributes:
        size: Bytes, a multiple of 512 KiB.
        needed: Bytes that the content needs, with room to spare; sparse files need less.
        inodes: Files, directories and links that fit.
        content: Bytes of the files in the directory.
        unreadable: Paths that other users may not read, relative to the directory.
    """

    size: int
    needed: int
    inodes: int
    content: int
    unreadable: tuple[str, ...] = ()


def parse_size(text: str) -> int:
    """Read a size such as 64MiB, 64M or 1.5G, in powers of 1024.

    Raises:
        SealingError: The text is no size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise SealingError(f"Size {text!r} is not understood: write it like 64MiB or 4GiB.")
    return int(float(match[1]) * _SUFFIXES[match[2].upper()])


def plan_file_system(directory: Path, *, size: int | None = None) -> FileSystemPlan:
    """Work out the file system that holds a directory, with room to spare.

    Args:
        directory: What is to be sealed.
        size: The wanted size in bytes; from the content where None.

    Raises:
        SealingError: The directory is missing, unreadable, or too large for a blob.
    """
    if not directory.is_dir():
        raise SealingError(f"{directory} is no directory. Give the directory whose content is to be sealed.")
    blocks, entries, content, unreadable = 0, 0, 0, []
    for path, status in _walk(directory):
        entries += 1
        blocks += _blocks(status)
        if stat.S_ISREG(status.st_mode):
            content += status.st_size
        if not stat.S_ISLNK(status.st_mode) and not status.st_mode & stat.S_IROTH:
            unreadable.append(str(path.relative_to(directory)))
    inodes = entries + max(64, entries // 10)
    needed = _rounded(_needed(blocks, inodes))
    chosen = _rounded(size) if size is not None else needed
    if chosen > LARGEST:
        raise SealingError(f"{directory} needs {chosen} bytes, but `csum push` ends at {LARGEST}: split it.")
    return FileSystemPlan(chosen, needed, inodes, content, tuple(unreadable))


def _walk(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    yield directory, directory.stat()

    def refuse(error: OSError) -> None:
        raise SealingError(f"{error.filename}: {error.strerror}. Everything in the directory has to be readable.")

    for parent, directories, files in os.walk(directory, onerror=refuse):
        for name in (*directories, *files):
            path = Path(parent, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and not os.access(path, os.R_OK):
                raise SealingError(f"{path}: permission denied. Everything in the directory has to be readable.")
            yield path, status


def _blocks(status: os.stat_result) -> int:
    if stat.S_ISREG(status.st_mode):
        data = -(-status.st_size // BLOCK)
        return data + data // 1000 + 1  # one more for long extended attributes, and index blocks of large files
    if stat.S_ISDIR(status.st_mode):
        return 2 + status.st_size // BLOCK
    return 1


def _needed(blocks: int, inodes: int) -> int:
    used = blocks + -(-inodes * INODE // BLOCK) + 32
    total = used + max(128, used // 20)
    groups = -(-total // _BLOCKS_PER_GROUP)
    return (total + groups * (_GROUP_OVERHEAD + 16)) * BLOCK


def _rounded(size: int) -> int:
    return max(SMALLEST, -(-size // CHUNK) * CHUNK)
