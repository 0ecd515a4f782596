"""What an image is and, with its key, what it holds."""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from confidential_summarizer.sealing.image import Progress
from confidential_summarizer.sealing.luks_header import LuksHeader, read_header
from confidential_summarizer.sealing.opening import LOST_AND_FOUND, opened
from confidential_summarizer.sealing.scratch import Scratch
from confidential_summarizer.sealing.tools import run_tool

PAGE = 512
"""A page blob's length is a multiple of this, in bytes."""

_ROOT_INODE = 2
_ENTRY = re.compile(r"^/(?P<inode>\d+)/(?P<mode>[0-7]+)/(?P<uid>\d+)/(?P<gid>\d+)/(?P<name>.*)/(?P<size>\d*)/$")
"""A line of `ls -p` of debugfs."""

_COMMAND = re.compile(r"^debugfs: +ls -p <(\d+)>$")


@dataclass(frozen=True)
class Entry:
    """A file, directory or link inside the image.

    Attributes:
        path: From the root of the file system, without a slash at the start.
        mode: Type and permissions, as `st_mode`.
        uid: Owner.
        gid: Group.
        size: Bytes of a file.
    """

    path: str
    mode: int
    uid: int
    gid: int
    size: int

    def __str__(self) -> str:
        return f"{stat.filemode(self.mode)} {self.uid}:{self.gid} {self.size:>12} {self.path}"


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        header: The LUKS header.
        size: Bytes of the image.
        obstacles: What keeps the sidecar from opening it.
        entries: Its files, where a key was given.
    """

    header: LuksHeader
    size: int
    obstacles: tuple[str, ...]
    entries: tuple[Entry, ...] | None


def inspect(image: Path, key: bytes | None = None, *, progress: Progress | None = None) -> Inspection:
    """Look at an image; with its key, at the names inside as well.

    Raises:
        SealingError: The file is no LUKS2 image, is damaged, or is not opened by the key.
    """
    header, size = read_header(image), image.stat().st_size
    obstacles = header.obstacles()
    if size % PAGE:
        obstacles = (*obstacles, f"the length is no multiple of {PAGE} bytes, which a page blob needs")
    if key is None:
        return Inspection(header, size, obstacles, None)
    with opened(image, image.absolute().parent, key, progress) as file:
        entries = sorted(_list(file), key=lambda entry: entry.path)
    return Inspection(header, size, obstacles, tuple(entries))


def _list(file: Scratch) -> Iterator[Entry]:
    """Walk the directories level by level; inode numbers spare quoting of names."""
    level = {_ROOT_INODE: ""}
    while level:
        following: dict[int, str] = {}
        for inode, entry in _directory_entries(file, level):
            if stat.S_ISDIR(entry.mode):
                following[inode] = f"{entry.path}/"
            yield entry
        level = following


def _directory_entries(file: Scratch, directories: dict[int, str]) -> Iterator[tuple[int, Entry]]:
    commands = "".join(f"ls -p <{inode}>\n" for inode in directories).encode()
    output = run_tool(["debugfs", "-f", "-", file.path], stdin=commands, descriptors=(file.descriptor,))
    yield from parse_listing(output.splitlines(), directories)


def parse_listing(lines: Iterable[str], directories: dict[int, str]) -> Iterator[tuple[int, Entry]]:
    """Read debugfs' listing of several directories.

    Args:
        lines: Each `ls -p <INODE>` command, echoed, and its entries.
        directories: The path before the names, by inode number.

    Yields:
        The inode number and the entry.
    """
    prefix = ""
    for line in lines:
        if command := _COMMAND.match(line):
            prefix = directories[int(command[1])]
        elif match := _ENTRY.match(line):
            name = match["name"]
            if name in (".", "..") or (not prefix and name == LOST_AND_FOUND):
                continue
            entry = Entry(
                path=prefix + name,
                mode=int(match["mode"], 8),
                uid=int(match["uid"]),
                gid=int(match["gid"]),
                size=int(match["size"] or 0),
            )
            yield int(match["inode"]), entry
