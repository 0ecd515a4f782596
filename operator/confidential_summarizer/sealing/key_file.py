"""The file that holds the key of a sealed image: 32 raw bytes, readable by its owner only."""

import os
import stat
from pathlib import Path

from confidential_summarizer.errors import SealingError

KEY_BYTES = 32
"""The sidecar takes a released oct key as it is, as the passphrase of the LUKS key slot: 256 random bits."""


def new_key() -> bytes:
    """Return 32 bytes of the operating system's randomness."""
    return os.urandom(KEY_BYTES)


def read_key(path: Path) -> bytes:
    """Read a key file.

    Raises:
        SealingError: The file is missing or does not hold exactly 32 bytes.
    """
    try:
        with path.open("rb") as file:
            key = file.read(4096)
    except OSError as error:
        raise SealingError(f"Key file {path}: {error.strerror}. Give the file that `csum seal` wrote.") from None
    if len(key) != KEY_BYTES:
        raise SealingError(
            f"Key file {path} holds {'at least ' if len(key) == 4096 else ''}{len(key)} bytes, a key has {KEY_BYTES}. "
            "It must be the raw bytes, without hex or a line break; `csum key new` writes such a file."
        )
    return key


def is_private(path: Path) -> bool:
    """Tell whether nobody but its owner can read a key file."""
    return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def create_key_file(path: Path, key: bytes) -> None:
    """Write a new key file with mode 0600; an existing file is never overwritten.

    Raises:
        SealingError: The file exists or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    except FileExistsError:
        raise SealingError(f"Key file {path} exists. A key is never overwritten: choose another name.") from None
    except OSError as error:
        raise SealingError(f"Key file {path}: {error.strerror}. Choose another place.") from None
