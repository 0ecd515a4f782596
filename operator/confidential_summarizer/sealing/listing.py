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
_BANNER = re.compile(r"^debugfs [^/]*$")


@dataclass(frozen=True)
class Entry:
    """A file, directory or link inside the image.

    Attributes:
        inode: Its number.
        path: From the root of the file system, without a slash at the start.
        mode: Type and permissions, as `st_mode`.
        uid: Owner.
        gid: Group.
        size: Bytes of a file.
    """

    inode: int
    path: str
    mode: int
    uid: int
    gid: int
    size: int

    def __str__(self) -> str:
        return f"{stat.filemode(self.mode)} {self.uid}:{self.gid} {self.size:>12} {self.path}"


def entries_of(file: Scratch) -> Iterator[Entry]:
    """Walk the directories level by level; inode numbers spare quoting of names.

    Raises:
        SealingError: A name would lead out of its directory, is there twice, or cannot be listed.
    """
    level = {_ROOT_INODE: ""}
    seen: set[str] = set()
    walked: set[int] = set()
    while level:
        walked |= level.keys()
        following: dict[int, str] = {}
        for entry in _directory_entries(file, level):
            if entry.path in seen:
                raise SealingError(f"The image holds {entry.path!r} twice: nothing was written.")
            seen.add(entry.path)
            if stat.S_ISDIR(entry.mode):
                if entry.inode in walked or entry.inode in following:
                    raise SealingError(f"The image holds {entry.path!r} under another name, too: nothing was written.")
                following[entry.inode] = f"{entry.path}/"
            yield entry
        level = following


def _directory_entries(file: Scratch, directories: dict[int, str]) -> Iterator[Entry]:
    commands = "".join(f"ls -p <{inode}>\n" for inode in directories).encode()
    output = run_tool(["debugfs", "-f", "-", file.path], stdin=commands, descriptors=(file.descriptor,))
    yield from parse_listing(output.split("\n"), directories)


def parse_listing(lines: Iterable[str], directories: dict[int, str]) -> Iterator[Entry]:
    """Read debugfs' listing of several directories.

    Names with a line's end can make up entries, and commands, that are none. So nothing that is written may depend on
    more than that each name by itself leads nowhere else.

    Args:
        lines: Each `ls -p <INODE>` command, echoed, and its entries.
        directories: The path before the names, by inode number.

    Raises:
        SealingError: A name would lead out of its directory, or is no name that can be listed.
    """
    prefix = ""
    for line in lines:
        if (command := _COMMAND.match(line)) and int(command[1]) in directories:
            prefix = directories[int(command[1])]
        elif match := _ENTRY.match(line):
            name = match["name"]
            if "/" in name or "\0" in name:
                raise SealingError(f"The image holds the name {name!r}, which leads elsewhere: nothing was written.")
            if name in ("", ".", ".."):  # without a name it is unused space
                continue
            yield Entry(
                inode=int(match["inode"]),
                path=prefix + name,
                mode=int(match["mode"], 8),
                uid=int(match["uid"]),
                gid=int(match["gid"]),
                size=int(match["size"] or 0),
            )
        elif line and not _BANNER.match(line):
            raise SealingError(
                f"The image holds a name that is no plain line ({line!r}): nothing was written. Whoever sealed it has "
                "to rename the file."
            )
