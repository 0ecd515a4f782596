"""The content manifest: which files a sealed folder holds, as one SHA-256 that a policy can pin.

The LUKS header of an image is not authenticated: whoever writes the blob can serve files of their own to the guest.
The summarizer therefore works out this manifest again from what it has read (workload, `summarizer/content.py`), and
compares. The canonical form is for each regular file, in the order of the paths' bytes,

    SHA-256 as 64 lower-case hexadecimal digits, a blank, the size in decimal, a blank, the path, a NUL byte

with the path relative to the folder, `/` between its parts. A NUL stands in no path, so no two folders have one form.
The owner's signature (`signature.py`) lies beside the files and is no part of the manifest.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.signature import SIGNATURE_NAME

LOST_AND_FOUND = b"lost+found"
"""mke2fs makes this directory at the root of every file system; it is no part of what was sealed."""


@dataclass(frozen=True)
class ContentFile:
    """One regular file.

    Attributes:
        path: Relative to the folder, as bytes.
        size: Bytes.
        sha256: SHA-256 of its bytes, 64 hexadecimal digits.
    """

    path: bytes
    size: int
    sha256: str


@dataclass(frozen=True)
class ContentManifest:
    """The files of a folder, ordered by path."""

    files: tuple[ContentFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits: what `contentSHA256` of the spec pins."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """Return the canonical form."""
        return b"".join(b"%s %d %s\0" % (file.sha256.encode(), file.size, file.path) for file in self.files)


def read_manifest(directory: Path) -> ContentManifest:
    """Return the manifest of a folder.

    Raises:
        SealingError: The folder holds no file, or a link or special file that the summarizer would refuse.
    """
    if not directory.is_dir():
        raise SealingError(f"{directory} is no directory. Give the directory whose content is to be sealed.")
    return manifest_of(_file(path, name) for name, path in _paths(directory))


def manifest_of(files: Iterable[ContentFile]) -> ContentManifest:
    """Return the manifest of some files in its canonical order.

    Raises:
        SealingError: There is none.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    if not ordered:
        raise SealingError("There is no file to seal. Give the directory with the documents or models.")
    return ContentManifest(ordered)


def _paths(directory: Path) -> Iterable[tuple[bytes, bytes]]:
    root = os.fsencode(directory)

    def refuse(error: OSError) -> None:
        name = os.fsdecode(error.filename)
        raise SealingError(f"{name}: {error.strerror}. Everything in the directory has to be readable.")

    for folder, folders, names in os.walk(root, onerror=refuse):
        if folder == root and LOST_AND_FOUND in (*folders, *names):
            raise SealingError(f"{directory} has an entry lost+found, which every file system makes anew: remove it.")
        if folder == root and os.fsencode(SIGNATURE_NAME) in (*folders, *names):
            raise SealingError(f"{directory} has an entry {SIGNATURE_NAME}, where the signature belongs: remove it.")
        for name in (*folders, *names):
            path = folder + b"/" + name
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                yield path.removeprefix(root + b"/"), path
            elif not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise SealingError(
                    f"{os.fsdecode(path)!r} is {kind}, which the summarizer refuses: put the file itself there, or "
                    "remove it."
                )


def _file(path: bytes, name: bytes) -> ContentFile:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  names of bytes, which pathlib does not know
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return ContentFile(name, file.tell(), digest)
    except OSError as error:
        raise SealingError(
            f"{os.fsdecode(path)}: {error.strerror}. Everything in the directory has to be readable."
        ) from None
