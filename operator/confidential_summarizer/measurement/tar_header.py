"""One 512-byte tar header, read as Go's `archive/tar` reads it, which is what the reference converter uses.

Formats: POSIX.1-1988 (USTAR), POSIX.1-2001 (PAX), the GNU and star manuals. Where writers disagree, Go's reading
counts: a layer's hash depends on it.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from zlib import adler32

from confidential_summarizer.errors import UnhashableLayer

BLOCK = 512
V7, USTAR, GNU, STAR = "v7", "ustar", "gnu", "star"

HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
REGULAR, OLD_REGULAR, GNU_SPARSE = b"0", b"\0", b"S"
PAX_NEXT, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK = b"x", b"g", b"L", b"K"
WITHOUT_DATA = frozenset({HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
"""Types that carry no data, whatever their size field says."""

_FIELDS = struct.Struct("100s24s12s12s8sc100s8s64x16s155s12x")
"""Name, mode and owner, size, mtime, checksum, type, link name, magic, device numbers, prefix of the name."""
_CHECKSUM = slice(148, 156)
_CHECKSUM_AS_SPACES = 8 * ord(" ")
_ASCII_LIMIT = 0x80
_SIGN_BIT = 0x40
_MAX_INT64 = (1 << 63) - 1

Time = tuple[int, int]
"""Whole seconds since 1970 (rounded down) and nanoseconds."""


@dataclass(slots=True)
class Header:
    """One entry of the tar, as far as a file system needs it; times are None where the tar does not give them."""

    name: bytes
    type: bytes
    linkname: bytes = b""
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime: Time | None = None
    atime: Time | None = None
    ctime: Time | None = None
    device_major: int = 0
    device_minor: int = 0
    records: dict[bytes, bytes] = field(default_factory=dict)


def malformed(cause: str) -> UnhashableLayer:
    """The error for a tar that the reference refuses to read."""
    return UnhashableLayer(f"archive/tar: invalid tar header: {cause}")


def parse_header(block: bytes) -> tuple[Header, str]:
    """Read a header block; returns the entry and the format it is written in.

    Raises:
        UnhashableLayer: The checksum or a number is malformed.
    """
    name, owner, size, mtime, checksum, entry_type, linkname, magic, device, prefix = _FIELDS.unpack(block)
    _check_sum(block, checksum)
    mode, uid, gid = _numbers(owner)
    header = Header(_string(name), entry_type, _string(linkname), number(size), mode, uid, gid, (number(mtime), 0))
    kind = _format(block, magic)
    if kind == V7:
        return header, kind
    header.device_major, header.device_minor = _numbers(device)
    prefix = _string(prefix) if kind == USTAR else _read_extension(header, block, kind)
    if prefix:
        header.name = prefix + b"/" + header.name
    return header, kind


def _check_sum(block: bytes, checksum: bytes) -> None:
    claimed = _octal(checksum)
    total = _sum(block) - sum(checksum) + _CHECKSUM_AS_SPACES
    if claimed != total and claimed != total - _excess_of_unsigned(block):
        raise malformed("its checksum is wrong")


def _sum(data: bytes) -> int:
    """The sum of at most 512 bytes; the low half of Adler-32 is one more than that of up to 256 (modulo 65521)."""
    return (adler32(data[:256]) & 0xFFFF) + (adler32(data[256:]) & 0xFFFF) - 2


def _format(block: bytes, magic: bytes) -> str:
    if magic.startswith(b"ustar\0"):
        return STAR if block.endswith(b"tar\0") else USTAR
    return GNU if magic == b"ustar  \0" else V7


def _read_extension(header: Header, block: bytes, kind: str) -> bytes:
    """Fill in the times that STAR and GNU headers hold; returns the prefix of the name."""
    if kind == STAR:
        header.atime = (number(block[476:488]), 0)
        header.ctime = (number(block[488:500]), 0)
        return _string(block[345:476])
    try:
        atime = (number(block[345:357]), 0) if block[345] else None
        ctime = (number(block[357:369]), 0) if block[357] else None
    except UnhashableLayer:
        # Go before 1.8 wrote a USTAR prefix where GNU keeps these times, and Go still reads such archives.
        prefix = _string(block[345:500])
        return prefix if all(byte < _ASCII_LIMIT for byte in prefix) else b""
    header.atime, header.ctime = atime, ctime
    return b""


@lru_cache(1024)  # most entries have the mode and the owner of one before them
def _numbers(fields: bytes) -> tuple[int, ...]:
    return tuple(number(fields[start : start + 8]) for start in range(0, len(fields), 8))


def number(digits: bytes) -> int:
    """A numeric field: octal text, or base-256 two's complement when the first bit is set.

    Raises:
        UnhashableLayer: Not a number, or beyond 64 bits.
    """
    if not digits[0] & 0x80:
        return _octal(digits)
    value = int.from_bytes(bytes([digits[0] & 0x7F]) + digits[1:])
    if digits[0] & _SIGN_BIT:
        value -= 1 << (8 * len(digits) - 1)
    if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
        raise malformed("a number is beyond 64 bits")
    return value


def _octal(digits: bytes) -> int:
    text = digits.strip(b" \0")
    if not text.isdigit():
        if not text:
            return 0
        text = text.partition(b"\0")[0]
        if not text.isdigit():
            raise malformed("a number is not octal")
    try:
        return int(text, 8)
    except ValueError:
        raise malformed("a number is not octal") from None


def _string(text: bytes) -> bytes:
    return text.partition(b"\0")[0]


def _excess_of_unsigned(block: bytes) -> int:
    """What the sum of the bytes is larger by when they are taken as unsigned; some old writers summed signed ones."""
    high = sum(1 for byte in block if byte >= _ASCII_LIMIT)
    return 256 * (high - sum(1 for byte in block[_CHECKSUM] if byte >= _ASCII_LIMIT))
