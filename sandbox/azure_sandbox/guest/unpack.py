"""Unpacks one layer: `python -m azure_sandbox.guest.unpack FOLDER < LAYER`, the layer as the registry stores it.

The folder then holds what the layer's measured file system holds: the same reader takes the tar apart, and whiteouts
become what an overlay mount understands (a character device 0:0, the attribute `trusted.overlay.opaque`; Linux
`Documentation/filesystems/overlayfs.rst`).

A process of its own, because it changes its root to the folder before it looks at a single entry: whatever a hostile
layer names, `..` and symbolic links included, ends inside. Needs root.
"""

# ruff: noqa: PTH101, PTH102, PTH108, PTH211  (names are bytes, as the tar has them; pathlib takes text only)

import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO

from confidential_summarizer.measurement.compression import decompress
from confidential_summarizer.measurement.ext4_writer import clean
from confidential_summarizer.measurement.layer import Ahead
from confidential_summarizer.measurement.pax import xattrs
from confidential_summarizer.measurement.stream import ByteStream
from confidential_summarizer.measurement.tar_header import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    SYMLINK,
    Header,
    Time,
)
from confidential_summarizer.measurement.tar_reader import TarReader

WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"
OPAQUE_ATTRIBUTE = b"trusted.overlay.opaque"
CHUNK = 1 << 20
PERMISSIONS = 0o7777
NANOSECONDS = 10**9

Path = tuple[bytes, ...]


class Unpacker:
    """Makes the files of one layer below the process's root folder."""

    def __init__(self, reader: TarReader) -> None:
        self._reader = reader
        self._known: set[Path] = {()}
        self._folder_times: dict[bytes, tuple[int, int]] = {}

    def run(self) -> None:
        """Take every entry.

        Raises:
            UnhashableLayer: The tar is malformed.
            OSError: The file system here cannot hold an entry.
        """
        while (header := self._reader.next()) is not None:
            path = clean(header.name)
            self._make_parents(path)
            if header.name.rpartition(b"/")[2].startswith(WHITEOUT):
                self._hide(path[:-1], path[-1])
            elif header.type == HARD_LINK:
                self._link(_text(clean(header.linkname)), _text(path))
            else:
                self._create(path, header)
        for name, times in reversed(self._folder_times.items()):  # filling a folder has changed its time
            os.utime(name, ns=times)

    def _make_parents(self, path: Path) -> None:
        """Make the folders above an entry that have no entry of their own, after the model of the one above them."""
        for depth in range(1, len(path)):
            folder = path[:depth]
            if folder in self._known:
                continue
            name = _text(folder)
            if not os.path.lexists(name):
                above = os.lstat(_text(folder[:-1]))
                os.mkdir(name)
                os.chown(name, above.st_uid, above.st_gid)
                os.chmod(name, stat.S_IMODE(above.st_mode))
                self._folder_times[name] = (above.st_atime_ns, above.st_mtime_ns)
            self._known.add(folder)

    def _hide(self, folder: Path, base: bytes) -> None:
        if base == OPAQUE:
            os.setxattr(_text(folder), OPAQUE_ATTRIBUTE, b"y", follow_symlinks=False)
            return
        name = _text((*folder, base[len(WHITEOUT) :]))
        _clear(name)
        os.mknod(name, stat.S_IFCHR, os.makedev(0, 0))

    @staticmethod
    def _link(target: bytes, name: bytes) -> None:
        _clear(name)
        os.link(target, name, follow_symlinks=False)

    def _create(self, path: Path, header: Header) -> None:
        name = _text(path)
        if header.type == DIRECTORY:
            self._known.add(path)
            if not os.path.lexists(name):
                os.mkdir(name)
            _dress(name, header)
            self._folder_times[name] = _times(header)
            return
        _clear(name)
        if header.type == SYMLINK:
            os.symlink(header.linkname, name)
            os.chown(name, *_owner(header), follow_symlinks=False)
            os.utime(name, ns=_times(header), follow_symlinks=False)
            return
        if header.type in (CHARACTER, BLOCK_DEVICE):
            return  # devices are for the guest to give, not for an image to bring along
        if header.type == FIFO:
            os.mkfifo(name)
        else:
            self._write(name, header)
        _dress(name, header)
        os.utime(name, ns=_times(header))

    def _write(self, name: bytes, header: Header) -> None:
        # What is neither a link nor a device is a regular file, global headers of PAX archives among them.
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            self._reader.read_data(header, lambda piece: _write_all(file, piece), lambda size: _skip(file, size))
        finally:
            os.close(file)


def _dress(name: bytes, header: Header) -> None:
    os.chown(name, *_owner(header))
    os.chmod(name, header.mode & PERMISSIONS)  # after chown, which takes the set-user-id bit away
    for attribute, value in xattrs(header.records).items():
        # The measured layer has them all; a file system that refuses one leaves the container with fewer rights.
        try:
            os.setxattr(name, attribute, value, follow_symlinks=False)
        except OSError:
            continue


def _clear(name: bytes) -> None:
    """Make way: a later entry replaces an earlier one that is no folder."""
    if os.path.lexists(name):
        os.unlink(name)


def _write_all(file: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(file, piece) :]


def _skip(file: int, size: int) -> None:
    os.ftruncate(file, os.lseek(file, size, os.SEEK_CUR))


def _owner(header: Header) -> tuple[int, int]:
    """User and group as an inode holds them: the low 32 bits."""
    return header.uid & 0xFFFFFFFF, header.gid & 0xFFFFFFFF


def _times(header: Header) -> tuple[int, int]:
    modified = _nanoseconds(header.mtime)
    return modified if header.atime is None else _nanoseconds(header.atime), modified


def _nanoseconds(time: Time | None) -> int:
    return 0 if time is None else time[0] * NANOSECONDS + time[1]


def _text(path: Path) -> bytes:
    return b"/" + b"/".join(path)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def main() -> None:
    """Unpack standard input into the folder that the command line names."""
    os.chroot(sys.argv[1])
    os.chdir("/")
    os.umask(0)
    _, tar = decompress(_chunks(sys.stdin.buffer))
    with Ahead(tar) as ahead:
        Unpacker(TarReader(ByteStream(ahead))).run()


if __name__ == "__main__":
    main()
