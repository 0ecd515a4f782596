"""Encrypt and decrypt an image in place with cryptsetup's offline reencryption.

The parameters are those that Microsoft's encfs sidecar opens: LUKS2, aes-xts-plain64 with a 512-bit key, 4096-byte
sectors, PBKDF2 with 1000 iterations (enough for a key of 256 random bits), data 16 MiB after the start.

Why cryptsetup and no AES of our own: Python needs a call for each 4 KiB sector and reaches 0.5 GB/s of one core;
cryptsetup reaches 3 GB/s and leaves the disk as the only limit.
Why a header in a file of its own while encrypting: nothing then has to be moved to make room for it, so that no sector
of the published image ever held plain text that was not overwritten by its own cipher text.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.scratch import Scratch
from confidential_summarizer.sealing.tools import run_tool

DATA_OFFSET = 16 * 1024 * 1024
"""Bytes before the encrypted data: two headers and the key slots. The sidecar's fallback copies exactly these."""

SECTOR = 4096

_PARAMETERS = (
    "--type", "luks2",
    "--cipher", "aes-xts-plain64",
    "--key-size", "512",
    "--sector-size", str(SECTOR),
    "--pbkdf", "pbkdf2",
    "--pbkdf-force-iterations", "1000",
    "--hash", "sha256",
)  # fmt: skip

_OFFLINE = (
    "--key-file",
    "-",
    "--batch-mode",
    "--force-offline-reencrypt",
    "--disable-locks",
    "--progress-frequency",
    "1",
    "--progress-json",
)
"""The key comes through the pipe; without device-mapper, with a line of JSON each second, and without locks:
they lie in a folder of root's, and nobody else can have a file that has no name."""

Step = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""


def encrypt(image: Scratch, header: Scratch, key: bytes, on_progress: Step) -> None:
    """Encrypt an image's data in place and put the header before it.

    Args:
        image: 16 MiB of nothing, then the plain file system.
        header: An empty scratch file of 16 MiB.
        key: The passphrase of key slot 0, 32 bytes.
        on_progress: Told how far it is.

    Raises:
        SealingError: cryptsetup is missing, too old (2.6 is the oldest that is tested) or failed.
    """
    run_tool(
        [
            # No journal of its own progress: a file without a name is gone after a crash, and it halves the time.
            "cryptsetup", "reencrypt", "--encrypt", *_PARAMETERS, *_OFFLINE, "--resilience", "none",
            "--header", header.path, "--offset", str(DATA_OFFSET // 512), image.path,
        ],
        stdin=key,
        descriptors=(image.descriptor, header.descriptor),
        on_line=_progress_reader(on_progress),
    )  # fmt: skip
    os.pwrite(image.descriptor, os.pread(header.descriptor, DATA_OFFSET, 0), 0)


def decrypt(image: Scratch, directory: Path, key: bytes, on_progress: Step) -> None:
    """Decrypt an image in place; its data then start at 0 and the last 16 MiB mean nothing.

    Args:
        image: A copy of the sealed image.
        directory: An empty directory for the header, which cryptsetup takes out of the image.
        key: The passphrase.
        on_progress: Told how far it is.

    Raises:
        SealingError: The key does not open the image, or the image is damaged.
    """
    try:
        run_tool(
            [
                "cryptsetup", "reencrypt", "--decrypt", *_OFFLINE,
                "--header", str(directory / "header"), image.path,
            ],
            stdin=key,
            descriptors=(image.descriptor,),
            on_line=_progress_reader(on_progress),
        )  # fmt: skip
    except SealingError as error:
        if "No key available" in str(error):
            raise SealingError("The key does not open the image: it was sealed with another one.") from None
        raise


def _progress_reader(on_progress: Step) -> Callable[[str], None]:
    def read(line: str) -> None:
        if line.startswith("{"):
            report = json.loads(line)
            on_progress(int(report["device_bytes"]), int(report["device_size"]))

    return read
