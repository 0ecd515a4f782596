"""What storage serves, read once into memory of the guest; nothing below a mount is opened a second time.

The layer below (LUKS without authentication, ext4, a blob) belongs to the host: it may answer differently each time,
hold links into other file systems, or files of somebody else. So each file is opened without following links, read
to its end, hashed, and only that copy is used. The canonical form of the manifest is that of `csum seal`
(docs/reference/content-manifest.md): for each regular file, in the order of the paths' bytes,

    SHA-256 as 64 lower-case hexadecimal digits, a blank, the size in decimal, a blank, the path, a NUL byte

The owner's signature at the root (`pins.py`) is no part of it.
"""

import errno
import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from summarizer.errors import ContentError
from summarizer.pins import LARGEST_SIGNATURE, SIGNATURE_NAME, Pin

# mke2fs makes this directory at the root; it is readable by root only and no part of what was sealed.
_LOST_AND_FOUND: Final = b"lost+found"
_CHUNK: Final = 1024 * 1024
# Far deeper than people nest folders, and small beside the stack.
_MAX_DEPTH: Final = 32
# An archive of 100,000 documents and its folders; a listing of them is some ten MiB.
_MAX_ENTRIES: Final = 200_000
# The memory of the largest confidential group is 180 GB.
_MAX_BYTES: Final = 128 * 1024**3

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK the open of a FIFO that was put there after the listing would wait for ever.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Keep = Callable[[str], bool]
ModelFiles = Mapping[str, bytes]
"""A model's files in memory, by path below its directory."""


@dataclass(frozen=True)
class Content:
    """The files of one tree.

    Attributes:
        kept: The bytes of the files that were asked for, by path, in canonical order.
        numbers: The number of each kept file in canonical order, from 1; stands for its name in messages.
        others: How many other files there are.
        sha256: SHA-256 of the manifest; empty if nothing was pinned.
        version: The version that the owner signed; None where the policy asks for no signature.
    """

    kept: Mapping[str, bytes]
    numbers: Mapping[str, int]
    others: int
    sha256: str = ""
    version: int | None = None

    def __repr__(self) -> str:
        """Say nothing: a representation may end up in a log."""
        return "Content(…)"


def everything(_path: str) -> bool:
    """Keep each file."""
    return True


def read_content(root: Path, what: str, *, keep: Keep = everything, pin: Pin | None = None) -> Content:
    """Read the tree below `root` once.

    Args:
        root: The directory; it may itself be a link, because the sidecar makes mount points as links.
        what: What to call it in messages: `the documents`.
        keep: Which paths to keep in memory, asked once for each in canonical order; the others are read too where
            there is a pin, and only counted else.
        pin: What the whole tree has to be.

    Raises:
        ContentError: There is a link or special file, something is too large or unreadable or changed meanwhile, or
            the files are not those of the pin. No message holds a name.
    """
    try:
        top = os.open(root, _DIRECTORY)
    except OSError as error:
        raise ContentError(f"{what} at {root} cannot be opened ({error.strerror}): look at the mount") from None
    try:
        paths = sorted(_files(top, what))
        return _read_all(top, paths, what, keep, pin)
    finally:
        os.close(top)


def read_model(model: Path) -> ModelFiles:
    """Read a model's directory once, where nothing pins it: from the measured image, or while it is made.

    Raises:
        ContentError: As `read_content`.
    """
    return read_content(model, "the model").kept


@contextmanager
def private_copy(files: ModelFiles) -> Iterator[Path]:
    """Write files that were read and checked to a folder of the guest's own, for libraries that read folders only."""
    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            target = Path(name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        yield Path(name)


def _read_all(top: int, paths: list[bytes], what: str, keep: Keep, pin: Pin | None) -> Content:
    signature: bytes | None = None
    if SIGNATURE_NAME in paths:
        paths.remove(SIGNATURE_NAME)
        signature = _read_one(top, SIGNATURE_NAME, f"the signature of {what}", LARGEST_SIGNATURE, True)[2]
    kept: dict[str, bytes] = {}
    numbers: dict[str, int] = {}
    manifest = hashlib.sha256()
    left = _MAX_BYTES
    for number, path in enumerate(paths, start=1):
        name = os.fsdecode(path)
        wanted = keep(name)
        if not wanted and pin is None:
            continue
        digest, size, data = _read_one(top, path, f"file {number} of {what}", left, wanted)
        left -= size
        manifest.update(b"%s %d %s\0" % (digest.encode(), size, path))
        if wanted:
            kept[name], numbers[name] = data, number
    others = len(paths) - len(kept)
    if pin is None:
        return Content(kept, numbers, others)
    sha256 = manifest.hexdigest()
    version = pin.check(sha256, signature, what, len(paths))
    return Content(kept, numbers, others, sha256, version)


def _files(top: int, what: str) -> Iterator[bytes]:
    """List the regular files, and refuse anything that is neither file nor directory."""
    entries = 0
    waiting: list[bytes] = [b""]
    while waiting:
        prefix = waiting.pop()
        folder = _open_folder(top, prefix, what)
        try:
            names = sorted(os.fsencode(name) for name in os.listdir(folder))  # noqa: PTH208  by descriptor
            for name in names:
                entries += 1
                if entries > _MAX_ENTRIES:
                    raise ContentError(f"{what} are more than {_MAX_ENTRIES} files and folders: seal fewer")
                if not prefix and name == _LOST_AND_FOUND:
                    continue
                mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                if stat.S_ISREG(mode):
                    yield prefix + name
                elif stat.S_ISDIR(mode):
                    waiting.append(prefix + name + b"/")
                else:
                    kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
                    raise ContentError(f"entry {entries} of {what} is {kind}: seal the files themselves")
        except OSError as error:
            raise ContentError(f"{what} cannot be listed ({error.strerror}): look at the mount") from None
        finally:
            os.close(folder)


def _open_folder(top: int, path: bytes, what: str) -> int:
    """Open a folder below `top`, part by part, so that no part of the way is a link."""
    parts = [part for part in path.split(b"/") if part]
    if len(parts) > _MAX_DEPTH:
        raise ContentError(f"{what} are nested deeper than {_MAX_DEPTH} folders: seal a flatter folder")
    folder = os.dup(top)
    try:
        for part in parts:
            inner = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError as error:
        os.close(folder)
        raise ContentError(f"a folder of {what} cannot be opened ({error.strerror}): seal it readable") from None
    return folder


def _read_one(top: int, path: bytes, label: str, left: int, wanted: bool) -> tuple[str, int, bytes]:
    before, _, name = path.rpartition(b"/")
    folder = _open_folder(top, before, label)
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise ContentError(f"{label} cannot be read ({why}): seal it readable for everybody") from None
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ContentError(f"{label} is no regular file: seal the files themselves")
        if status.st_size > left:
            raise ContentError(f"{label} is too large: {left} bytes are left for it")
        digest, size = hashlib.sha256(), 0
        kept = io.BytesIO()  # its value is its own memory; pieces that are joined need that of a large model twice
        try:
            while size <= status.st_size and (piece := file.read(_CHUNK)):
                digest.update(piece)
                size += len(piece)
                if wanted:
                    kept.write(piece)
        except OSError as error:
            raise ContentError(f"{label} cannot be read ({error.strerror}): restore the blob") from None
    if size != status.st_size:
        raise ContentError(f"{label} changed while it was read: restart the group with storage at rest")
    return digest.hexdigest(), size, kept.getvalue()
