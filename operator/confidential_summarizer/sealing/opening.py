"""From a sealed image back to its files, for its owner."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.image import Progress
from confidential_summarizer.sealing.listing import LOST_AND_FOUND, entries_of
from confidential_summarizer.sealing.luks import decrypt
from confidential_summarizer.sealing.luks_header import read_header
from confidential_summarizer.sealing.scratch import Scratch, scratch
from confidential_summarizer.sealing.signature import SIGNATURE_NAME
from confidential_summarizer.sealing.tools import run_tool

_NOT_THE_OWNER = "while changing ownership of"
"""Part of debugfs' complaint for an ordinary user, to whom the files belong then, as with tar."""


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
        for _ in entries_of(file):  # debugfs follows any name: all are looked at before the first is written
            pass
        files = Path(private, "files")
        files.mkdir()
        output = run_tool(["debugfs", "-R", "rdump / .", file.path], descriptors=(file.descriptor,), directory=files)
        files.chmod(stat.S_IRWXU)  # the text is nobody else's on this machine
        _drop_what_sealing_made(files)
        files.replace(target)
    problems = [line for line in output.splitlines() if ": " in line and _NOT_THE_OWNER not in line]
    if problems:
        raise SealingError(f"{image}: not everything could be written to {directory}: {problems[0].strip()}")


def _drop_what_sealing_made(directory: Path) -> None:
    if (directory / SIGNATURE_NAME).is_file():
        (directory / SIGNATURE_NAME).unlink()
    leftover = directory / LOST_AND_FOUND
    if leftover.is_dir() and not any(leftover.iterdir()):
        leftover.rmdir()


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
