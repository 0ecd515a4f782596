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

LUKS_MAGIC = b"LUKS\xba\xbe"
"""How every sealed image begins."""

_BINARY = struct.Struct(">6sHQQ48s32s64s40s48sQ184s64s")
"""magic, version, hdr_size, seqid, label, csum_alg, salt, uuid, subsystem, hdr_offset, padding, csum"""

_BINARY_SIZE = 4096
_CHECKSUM_OFFSET = 0x1C0
LARGEST_HEADER = 4 * 1024 * 1024
"""Bytes of the largest that the format knows."""


CIPHER = "aes-xts-plain64"
DERIVATION = "pbkdf2 sha256 1000"
"""Of key slots and digests: enough for a key of 256 random bits."""


@dataclass(frozen=True)
class KeySlot:
    """One place where the volume key lies, encrypted with a passphrase.

    Attributes:
        name: Its number.
        cipher: What the volume key is encrypted with.
        kdf: How a key comes of the passphrase: method, hash and iterations.
    """

    name: str
    cipher: str
    kdf: str


@dataclass(frozen=True)
class Digest:
    """How a volume key is recognized.

    Attributes:
        kdf: Method, hash and iterations.
        covers_data: Whether it is the one of the data segment.
    """

    kdf: str
    covers_data: bool


@dataclass(frozen=True)
class LuksHeader:
    """The facts of a LUKS2 header. None of them is secret.

    Attributes:
        uuid: Made anew for every image.
        cipher: Of the data segment, `aes-xts-plain64`.
        sector_size: Bytes.
        offset: Where the data start, in bytes.
        key_bits: Length of the volume key.
        key_slots: What opens it.
        digests: How the volume key is recognized, and for which data.
        requirements: Features that a reader must know; none in an image of ours.
    """

    uuid: str
    cipher: str
    sector_size: int
    offset: int
    key_bits: int
    key_slots: tuple[KeySlot, ...]
    digests: tuple[Digest, ...]
    requirements: tuple[str, ...]

    def obstacles(self) -> tuple[str, ...]:
        """Say what keeps the encfs sidecar from opening the image, or `seal` did not put there.

        Nothing authenticates a header: whoever writes the blob can change all of it. There is nothing to say of an
        image that `seal` made.
        """
        wanted = (
            ("cipher", self.cipher, CIPHER),
            ("sector size", self.sector_size, SECTOR),
            ("data offset", self.offset, DATA_OFFSET),
            ("volume key's bits", self.key_bits, 512),
        )
        found = [f"the {name} is {actual}, not {value}" for name, actual, value in wanted if actual != value]
        if not self.key_slots:
            found.append("no key slot is left: nothing opens it any more")
        elif len(self.key_slots) > 1:
            found.append(f"it has {len(self.key_slots)} key slots, not 1: another key opens it")
        for slot in self.key_slots:
            if slot.cipher != CIPHER:
                found.append(f"key slot {slot.name} is encrypted with {slot.cipher}, not {CIPHER}")
            if slot.kdf != DERIVATION:
                found.append(f"key slot {slot.name} derives its key with {slot.kdf}, not {DERIVATION}")
        if not any(digest.covers_data for digest in self.digests):
            found.append("no digest ties the volume key to the data")
        found.extend(
            f"the digest of the volume key is {digest.kdf}, not {DERIVATION}"
            for digest in self.digests
            if digest.kdf != DERIVATION
        )
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
    if len(data) < _BINARY_SIZE or not data.startswith(LUKS_MAGIC):
        raise SealingError(f"{name} is no LUKS image. `csum seal` makes one.")
    _, version, size, _, _, algorithm, _, uuid, _, _, _, checksum = _BINARY.unpack_from(data)
    if version != 2:
        raise SealingError(f"{name} is LUKS version {version}; the sidecar's parameters need version 2.")
    if not _BINARY_SIZE < size <= len(data) or algorithm.rstrip(b"\0") != b"sha256":
        raise SealingError(f"{name}: the header's size or checksum algorithm makes no sense; the image is damaged.")
    blank = data[:_CHECKSUM_OFFSET] + bytes(64) + data[_CHECKSUM_OFFSET + 64 : size]
    if hashlib.sha256(blank).digest() != checksum[:32]:
        raise SealingError(f"{name}: the header's checksum is wrong; the image is damaged. Seal or download it again.")
    try:
        metadata: dict[str, Any] = json.loads(data[_BINARY_SIZE:size].rstrip(b"\0"))
        return _from_metadata(uuid.rstrip(b"\0").decode(), metadata, name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SealingError(f"{name}: the header's text makes no sense; the image is damaged.") from None


def _from_metadata(uuid: str, metadata: dict[str, Any], name: str) -> LuksHeader:
    segments, slots = metadata["segments"], metadata["keyslots"]
    if len(segments) != 1:
        raise SealingError(f"{name}: an encryption of the image was interrupted. Seal it again.")
    ((number, segment),) = segments.items()
    if segment["type"] != "crypt":
        raise SealingError(f"{name}: the data are not encrypted ({segment['type']}). Seal it again.")
    return LuksHeader(
        uuid=uuid,
        cipher=str(segment["encryption"]),
        sector_size=segment["sector_size"],
        offset=int(segment["offset"]),
        key_bits=max((8 * slot["key_size"] for slot in slots.values()), default=0),
        key_slots=tuple(
            KeySlot(str(name), str(slot["area"]["encryption"]), _derivation(slot["kdf"]))
            for name, slot in slots.items()
        ),
        digests=tuple(
            Digest(_derivation(digest), number in digest["segments"]) for digest in metadata["digests"].values()
        ),
        requirements=tuple(map(str, metadata["config"].get("requirements", {}).get("mandatory", ()))),
    )


def _derivation(fields: dict[str, Any]) -> str:
    return " ".join(str(fields[part]) for part in ("type", "hash", "iterations") if part in fields)
