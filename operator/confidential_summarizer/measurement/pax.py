"""PAX extended headers: records that correct or add to the entry after them (POSIX.1-2001, `pax` utility)."""

import re

from confidential_summarizer.measurement.tar_header import Header, Time, malformed

XATTR_PREFIX = b"SCHILY.xattr."
SPARSE_MAP = b"GNU.sparse.map"
_SPARSE_OFFSET, _SPARSE_LENGTH = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
_SHORTEST_RECORD = 5
_TEXT_KEYS = frozenset({b"path", b"linkpath", b"uname", b"gname"})
_DECIMAL = re.compile(rb"[+-]?[0-9]+")
_INT64 = range(-(1 << 63), 1 << 63)
_BILLION = 1_000_000_000

Records = dict[bytes, bytes]


def parse_records(text: bytes) -> Records:
    """Read the records of one extended header; a later record with the same key replaces an earlier one.

    The pairs of GNU's sparse format 0.0, which repeats keys, become one record as in format 0.1.

    Raises:
        UnhashableLayer: A record is malformed.
    """
    records: Records = {}
    sparse: list[bytes] = []
    start = 0
    while start < len(text):
        key, value, start = _parse_record(text, start)
        if key in {_SPARSE_OFFSET, _SPARSE_LENGTH}:
            expected = _SPARSE_LENGTH if len(sparse) % 2 else _SPARSE_OFFSET
            if key != expected or b"," in value:
                raise malformed("the sparse map is out of order")
            sparse.append(value)
        else:
            records[key] = value
    if sparse:
        records[SPARSE_MAP] = b",".join(sparse)
    return records


def _parse_record(text: bytes, start: int) -> tuple[bytes, bytes, int]:
    space = text.find(b" ", start)
    length = decimal(text[start:space]) if space >= 0 else 0
    end = start + length
    if length < _SHORTEST_RECORD or end > len(text) or end <= space + 1 or text[end - 1 : end] != b"\n":
        raise malformed("a PAX record has a wrong length")
    key, equals, value = text[space + 1 : end - 1].partition(b"=")
    if not equals or not key or b"\0" in (value if key in _TEXT_KEYS else key):
        raise malformed("a PAX record is not key=value")
    return key, value, end


def apply_records(header: Header, records: Records) -> None:
    """Let the records correct an entry; an empty value keeps what the header says.

    Raises:
        UnhashableLayer: A number or a time is malformed.
    """
    for key, value in records.items():
        if not value:
            continue
        match key:
            case b"path":
                header.name = value
            case b"linkpath":
                header.linkname = value
            case b"uid":
                header.uid = decimal(value)
            case b"gid":
                header.gid = decimal(value)
            case b"size":
                header.size = decimal(value)
            case b"mtime":
                header.mtime = parse_time(value)
            case b"atime":
                header.atime = parse_time(value)
            case b"ctime":
                header.ctime = parse_time(value)
    header.records = records


def decimal(text: bytes) -> int:
    """A signed decimal of at most 64 bits.

    Raises:
        UnhashableLayer: It is none.
    """
    # 20 characters hold every int64; longer ones are only leading zeros, for which Python wants no limit either way.
    if not _DECIMAL.fullmatch(text):
        raise malformed("a number is not decimal")
    sign, digits = text[:1] == b"-", text.lstrip(b"+-").lstrip(b"0")
    value = int(digits[:20] or b"0")
    value = -value if sign else value
    if len(digits) > 19 or value not in _INT64:
        raise malformed("a number is beyond 64 bits")
    return value


def parse_time(text: bytes) -> Time:
    """A time as `seconds[.fraction]`; digits beyond nanoseconds are cut.

    Raises:
        UnhashableLayer: It is none.
    """
    whole, _, fraction = text.partition(b".")
    seconds = decimal(whole)
    if not fraction:
        return seconds, 0
    if fraction.translate(None, b"0123456789"):
        raise malformed("a time is not a number")
    nanoseconds = int(fraction[:9].ljust(9, b"0"))
    if whole.startswith(b"-"):
        nanoseconds = -nanoseconds
    return seconds + nanoseconds // _BILLION, nanoseconds % _BILLION


def xattrs(records: Records) -> Records:
    """The extended attributes among the records: full names and raw values."""
    if not records:
        return {}
    return {key[len(XATTR_PREFIX) :]: value for key, value in records.items() if key.startswith(XATTR_PREFIX)}
