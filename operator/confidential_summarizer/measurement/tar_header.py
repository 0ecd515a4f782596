"""One 512-byte tar header, read as Go's `archive/tar` reads it, which is what the reference converter uses.

Formats: POSIX.1-1988 (USTAR), POSIX.1-2001 (PAX), the GNU and star manuals. Where writers disagree, Go's reading
counts: a layer's hash depends on it.
"""

from dataclasses import dataclass, field

from confidential_summarizer.errors import UnhashableLayer

BLOCK = 512
V7, USTAR, GNU, STAR = "v7", "ustar", "gnu", "star"

HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
REGULAR, OLD_REGULAR, GNU_SPARSE = b"0", b"\0", b"S"
PAX_NEXT, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK = b"x", b"g", b"L", b"K"
WITHOUT_DATA = frozenset({HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
"""Types that carry no data, whatever their size field says."""

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


def detect_format(block: bytes) -> str:
    """Check the header's sum and tell its format from its magic.

    Raises:
        UnhashableLayer: The sum is wrong.
    """
    claimed = _octal(block[_CHECKSUM])
    total = sum(block) - sum(block[_CHECKSUM]) + _CHECKSUM_AS_SPACES
    if claimed != total and claimed != total - _excess_of_unsigned(block):
        raise malformed("its checksum is wrong")
    if block.startswith(b"ustar\0", 257):
        return STAR if block.endswith(b"tar\0") else USTAR
    return GNU if block.startswith(b"ustar  \0", 257) else V7


def parse_header(block: bytes) -> tuple[Header, str]:
    """Read a header block; returns the entry and the format it is written in.

    Raises:
        UnhashableLayer: The checksum or a number is malformed.
    """
    kind = detect_format(block)
    header = Header(
        name=_string(block[0:100]),
        type=block[156:157],
        linkname=_string(block[157:257]),
        size=number(block[124:136]),
        mode=number(block[100:108]),
        uid=number(block[108:116]),
        gid=number(block[116:124]),
        mtime=(number(block[136:148]), 0),
    )
    if kind != V7:
        header.device_major = number(block[329:337])
        header.device_minor = number(block[337:345])
        prefix = _read_extension(header, block, kind)
        if prefix:
            header.name = prefix + b"/" + header.name
    return header, kind


def _read_extension(header: Header, block: bytes, kind: str) -> bytes:
    """Fill in the times that STAR and GNU headers hold; returns the prefix of the name."""
    if kind == USTAR:
        return _string(block[345:500])
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
