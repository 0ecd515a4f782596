"""Read a LUKS2 header without a key: what the image is, and whether the sidecar can open it.

Source: the LUKS2 on-disk format specification 1.1: a binary header of 4096 bytes with big-endian fields, then JSON.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.luks import DATA_OFFSET, SECTOR

_MAGIC = b"LUKS\xba\xbe"
_BINARY = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s")
"""magic, version, hdr_size, seqid, label, csum_alg, salt, uuid, subsystem, hdr_offset, padding, csum"""

_BINARY_SIZE = 4096
_CHECKSUM_OFFSET = 0x1C0
LARGEST_HEADER = 4 * 1024 * 1024


@dataclass(frozen=True)
class LuksHeader:
    """The facts of a LUKS2 header. None of them is secret.

    Attributes:
        uuid: Made anew for every image.
        cipher: Of the data segment, `aes-xts-plain64`.
        sector_size: Bytes.
        offset: Where the data start, in bytes.
        key_bits: Length of the volume key.
        key_slots: How many passphrases open it.
        kdf: Of the first key slot, with its iterations.
        requirements: Features that a reader must know; none in an image of ours.
    """

    uuid: str
    cipher: str
    sector_size: int
    offset: int
    key_bits: int
    key_slots: int
    kdf: str
    requirements: tuple[str, ...]

    def obstacles(self) -> tuple[str, ...]:
        """Say what keeps the encfs sidecar from opening the image; nothing for an image that `seal` made."""
        wanted = (
            ("cipher", self.cipher, "aes-xts-plain64"),
            ("sector size", self.sector_size, SECTOR),
            ("data offset", self.offset, DATA_OFFSET),
            ("volume key's bits", self.key_bits, 512),
        )
        found = [f"the {name} is {actual}, not {value}" for name, actual, value in wanted if actual != value]
        if not self.key_slots:
            found.append("no key slot is left: nothing opens it any more")
        found.extend(f"it requires {feature}" for feature in self.requirements)
        return tuple(found)


def read_header(path: Path) -> LuksHeader:
    """Read and check the first header of an image.

    Raises:
        SealingError: The file is no LUKS2 image, or its header is damaged.
    """
    try:
        with path.open("rb") as file:
            return parse_header(file.read(LARGEST_HEADER), str(path))
    except OSError as error:
        raise SealingError(f"{path}: {error.strerror}.") from None


def parse_header(data: bytes, name: str) -> LuksHeader:
    """Parse a header from the first bytes of an image; `name` is for messages.

    Raises:
        SealingError: The bytes are no LUKS2 header, or damaged.
    """
    if len(data) < _BINARY_SIZE or not data.startswith(_MAGIC):
        raise SealingError(f"{name} is no LUKS image. `csum seal` makes one.")
    _, version, size, _, _, algorithm, _, uuid, _, _, _, checksum = _BINARY.unpack_from(data)
    if version != 2:
        raise SealingError(f"{name} is LUKS version {version}; the sidecar's parameters need version 2.")
    if not _BINARY_SIZE < size <= len(data) or algorithm.rstrip(b"\0") != b"sha256":
        raise SealingError(f"{name}: the header's size or checksum algorithm makes no sense; the image is damaged.")
    blank = data[:_CHECKSUM_OFFSET] + bytes(64) + data[_CHECKSUM_OFFSET + 64 : size]
    if hashlib.sha256(blank).digest() != checksum[:32]:
        raise SealingError(f"{name}: the header's checksum is wrong; the image is damaged. Seal or download it again.")
    metadata: dict[str, Any] = json.loads(data[_BINARY_SIZE:size].rstrip(b"\0"))
    return _from_metadata(uuid.rstrip(b"\0").decode(), metadata, name)


def _from_metadata(uuid: str, metadata: dict[str, Any], name: str) -> LuksHeader:
    segments, slots = metadata["segments"], list(metadata["keyslots"].values())
    if len(segments) != 1:
        raise SealingError(f"{name}: an encryption of the image was interrupted. Seal it again.")
    (segment,) = segments.values()
    if segment["type"] != "crypt":
        raise SealingError(f"{name}: the data are not encrypted ({segment['type']}). Seal it again.")
    kdf = slots[0]["kdf"] if slots else {}
    return LuksHeader(
        uuid=uuid,
        cipher=segment["encryption"],
        sector_size=segment["sector_size"],
        offset=int(segment["offset"]),
        key_bits=8 * slots[0]["key_size"] if slots else 0,
        key_slots=len(slots),
        kdf=" ".join(str(kdf[part]) for part in ("type", "hash", "iterations") if part in kdf),
        requirements=tuple(metadata["config"].get("requirements", {}).get("mandatory", ())),
    )
