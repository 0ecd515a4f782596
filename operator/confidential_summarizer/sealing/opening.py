"""From a sealed image back to its files, for its owner."""

import os
import shutil
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
    existed = directory.exists()
    directory.mkdir(mode=stat.S_IRWXU, exist_ok=True, parents=True)
    try:
        with opened(image, directory.absolute().parent, key, progress) as file:
            for _ in entries_of(file):  # debugfs follows any name: all are looked at before the first is written
                pass
            output = run_tool(
                ["debugfs", "-R", "rdump / .", file.path], descriptors=(file.descriptor,), directory=directory
            )
    except BaseException:
        if not existed:
            shutil.rmtree(directory, ignore_errors=True)
        raise
    directory.chmod(stat.S_IRWXU)  # debugfs gives it the mode inside; the text is nobody else's on this machine
    if (directory / SIGNATURE_NAME).is_file():  # made for the image, as lost+found
        (directory / SIGNATURE_NAME).unlink()
    leftover = directory / LOST_AND_FOUND
    if leftover.is_dir() and not any(leftover.iterdir()):
        leftover.rmdir()
    problems = [line for line in output.splitlines() if ": " in line and _NOT_THE_OWNER not in line]
    if problems:
        raise SealingError(f"{image}: not everything could be written to {directory}: {problems[0].strip()}")


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
