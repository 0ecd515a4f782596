"""The names inside a file system, which whoever made it chose."""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.scratch import Scratch
from confidential_summarizer.sealing.tools import run_tool

LOST_AND_FOUND = "lost+found"
"""mke2fs makes this directory in every file system; it is no part of what was sealed."""

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


def entries_of(file: Scratch) -> Iterator[Entry]:
    """Walk the directories level by level; inode numbers spare quoting of names."""
    level = {_ROOT_INODE: ""}
    seen: set[str] = set()
    while level:
        following: dict[int, str] = {}
        for inode, entry in _directory_entries(file, level):
            if stat.S_ISDIR(entry.mode):
                following[inode] = f"{entry.path}/"
            if entry.path in seen:
                raise SealingError(f"The image holds {entry.path!r} twice: nothing was written.")
            seen.add(entry.path)
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

    Raises:
        SealingError: A name would lead out of its directory, or is no name that can be listed.
    """
    prefix = ""
    for line in lines:
        if command := _COMMAND.match(line):
            prefix = directories[int(command[1])]
        elif match := _ENTRY.match(line):
            name = match["name"]
            if "/" in name or "\0" in name:
                raise SealingError(f"The image holds the name {name!r}, which leads elsewhere: nothing was written.")
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
        elif line and not line.startswith("debugfs"):
            raise SealingError(
                f"The image holds a name that is no plain line ({line!r}): nothing was written. Whoever sealed it has "
                "to rename the file."
            )
