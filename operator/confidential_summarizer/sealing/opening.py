"""From a sealed image back to its files, for its owner."""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.image import Progress
from confidential_summarizer.sealing.listing import LOST_AND_FOUND, Entry, entries_of
from confidential_summarizer.sealing.luks import decrypt
from confidential_summarizer.sealing.luks_header import read_header
from confidential_summarizer.sealing.scratch import Scratch, scratch
from confidential_summarizer.sealing.signature import SIGNATURE_NAME
from confidential_summarizer.sealing.tools import run_tool

_NOT_THE_OWNER = "while changing ownership of"
"""Part of debugfs' complaint for an ordinary user, to whom the files belong then, as with tar."""
_FILES = "files"
_RIGHTS = 0o777
"""Of a mode: no program of an image runs as its owner."""


def unseal(image: Path, directory: Path, key: bytes, *, progress: Progress | None = None) -> None:
    """Write the files of a sealed image into a new or empty directory.

    Args:
        image: The sealed image; it is only read.
        directory: Where the files go.
        key: The key it was sealed with.
        progress: Told how far it is.

    Raises:
        SealingError: The directory is not empty, the image is damaged or holds names that lead elsewhere, or the
            key does not open it.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise SealingError(f"{directory} exists and is not an empty directory. Choose another place.")
    target = directory.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of mode 0700 until it is private itself: debugfs gives it the mode inside.
    with (
        opened(image, target.parent, key, progress) as file,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".unsealing-") as private,
    ):
        entries = _checked(entries_of(file), os.fstat(file.descriptor).st_size)
        problems = _write(file, entries, Path(private))
        Path(private, _FILES).replace(target)
    if problems:
        raise SealingError(f"{image}: not everything could be written to {directory}: {problems[0].strip()}")


def _checked(entries: Iterable[Entry], room: int) -> list[Entry]:
    """Return what `csum seal` takes into an image, and refuse anything else before the first byte is written.

    Raises:
        SealingError: It holds a link or a special file, or more than it has room for.
    """
    made = (LOST_AND_FOUND, SIGNATURE_NAME)
    found = [entry for entry in entries if entry.path not in made]
    for entry in found:
        if not (stat.S_ISREG(entry.mode) or stat.S_ISDIR(entry.mode)):
            raise SealingError(f"The image holds {entry.path!r}, a link or special file: nothing was written.")
        if entry.path.startswith(f"{LOST_AND_FOUND}/"):
            raise SealingError(f"The image holds {entry.path!r}, where nobody seals a file: nothing was written.")
    if sum(entry.size for entry in found) > room:
        raise SealingError(f"The image holds files of more than its own {room} bytes: nothing was written.")
    return found


def _write(file: Scratch, entries: Sequence[Entry], private: Path) -> list[str]:
    """Write the entries below a private folder, and return debugfs' complaints.

    debugfs follows any name. So it is told none: it writes each file under a number, and we give the names.
    """
    regular = [entry for entry in entries if stat.S_ISREG(entry.mode)]
    commands = "".join(f"dump -p <{entry.inode}> {number}\n" for number, entry in enumerate(regular))
    output = run_tool(
        ["debugfs", "-f", "-", file.path], stdin=commands.encode(), descriptors=(file.descriptor,), directory=private
    )
    files = private / _FILES
    files.mkdir()
    folders = [entry for entry in entries if stat.S_ISDIR(entry.mode)]
    for entry in folders:
        (files / entry.path).mkdir()
    for number, entry in enumerate(regular):
        (private / str(number)).replace(files / entry.path)
    for entry in [*regular, *reversed(folders)]:
        (files / entry.path).chmod(entry.mode & _RIGHTS)
    files.chmod(stat.S_IRWXU)  # the text is nobody else's on this machine
    lines = [line for line in output.splitlines() if not line.startswith("debugfs")]
    return [line for line in lines if ": " in line and _NOT_THE_OWNER not in line]


@contextmanager
def opened(image: Path, directory: Path, key: bytes, progress: Progress | None = None) -> Iterator[Scratch]:
    """Decrypt a copy of an image into a nameless file; the file system starts at its first byte.

    Args:
        image: The sealed image.
        directory: Whose file system holds the copy.
        key: The key.
        progress: Told how far it is.

    Raises:
        SealingError: The image is damaged or the key does not open it.
    """
    obstacles = read_header(image).obstacles()
    if obstacles:
        raise SealingError(f"{image} is no image that the sidecar opens: {'; '.join(obstacles)}.")

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress("decrypting", done, total)

    with tempfile.TemporaryDirectory() as headers, scratch(directory) as file:
        _copy(image, file)
        decrypt(file, Path(headers), key, tell)
        yield file


def _copy(image: Path, file: Scratch) -> None:
    with image.open("rb") as source:
        size, offset = os.fstat(source.fileno()).st_size, 0
        while offset < size:
            offset += os.sendfile(file.descriptor, source.fileno(), offset, size - offset)
