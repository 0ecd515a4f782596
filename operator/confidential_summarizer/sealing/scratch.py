"""Files without a name: what is half done cannot be left behind, not even by SIGKILL."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from confidential_summarizer.errors import SealingError


@dataclass(frozen=True)
class Scratch:
    """An open file that no directory names; other programs reach it by its descriptor.

    Attributes:
        descriptor: Open for reading and writing; pass it on to the program.
        linkable: Whether the file system can give it a name later.
    """

    descriptor: int
    linkable: bool

    @property
    def path(self) -> str:
        """The path under which a child process with the same descriptor finds the file."""
        return f"/proc/self/fd/{self.descriptor}"

    def publish(self, target: Path) -> None:
        """Give the file its name, in one step: a reader sees the old file, or the whole new one."""
        os.fsync(self.descriptor)
        partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
        try:
            self._link(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _sync_directory(target.parent)

    def _link(self, target: Path) -> None:
        if not self.linkable:
            _copy(self.descriptor, target)
            return
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Naming a directory makes Python use linkat, which alone can follow the link in /proc.
            os.link(self.path, target.name, dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(directory)


@contextmanager
def scratch(directory: Path, size: int = 0) -> Iterator[Scratch]:
    """Open a nameless file, mode 0600, in a directory's file system; it is gone after the block if not published.

    Args:
        directory: Where it would be published.
        size: Its first length in bytes; it is sparse.

    Raises:
        SealingError: The directory cannot be written.
    """
    try:
        descriptor, linkable = _open(directory)
    except OSError as error:
        raise SealingError(f"{directory}: cannot write here ({error.strerror}). Choose another place.") from error
    try:
        os.truncate(descriptor, size)
        yield Scratch(descriptor, linkable)
    except OSError as error:
        raise SealingError(f"{directory}: {error.strerror}. Free some space, or choose another place.") from error
    finally:
        os.close(descriptor)


def _open(directory: Path) -> tuple[int, bool]:
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600), True
    except (IsADirectoryError, NotImplementedError):
        pass
    except OSError as error:
        if not directory.is_dir() or not os.access(directory, os.W_OK):
            raise
        del error  # a network or overlay file system without O_TMPFILE
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".sealing-")
    Path(name).unlink()
    return descriptor, False


def _copy(descriptor: int, target: Path) -> None:
    with target.open("xb") as file:
        target.chmod(0o600)
        offset, size = 0, os.fstat(descriptor).st_size
        while offset < size:
            offset += os.sendfile(file.fileno(), descriptor, offset, size - offset)
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
