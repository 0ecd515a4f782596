"""Sparse files in tars: which parts of a file the tar holds, and which are holes.

Formats: GNU tar manual, "Storing Sparse Files": the old GNU type `S` and the PAX forms 0.0, 0.1 and 1.0.
"""

from collections.abc import Callable

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement.pax import SPARSE_MAP, Records, decimal
from confidential_summarizer.measurement.tar_header import BLOCK, GNU, Header, malformed, number

_MAX_MAP = 1 << 20
"""Bytes of a sparse map; Go's limit for every special file."""
_MAX_ENTRIES = 1 << 20
_ENTRY = 24
_MAX_INT64 = (1 << 63) - 1

Fragments = list[tuple[int, int]]
"""Offset and length of each part that holds data, in order."""

ReadBlock = Callable[[], bytes]
"""Reads the next 512 bytes; raises where the tar ends too early."""


def old_gnu_fragments(header: Header, block: bytes, kind: str, read_block: ReadBlock) -> Fragments:
    """The map in an old GNU header and in the blocks that continue it; sets the entry's real size."""
    if kind != GNU:
        raise malformed("a sparse entry is not in GNU format")
    header.size = number(block[483:495])
    entries, continued = block[386:482], block[482]
    fragments: Fragments = []
    total = len(entries) + 1
    while total < _MAX_MAP:
        for start in range(0, len(entries), _ENTRY):
            if entries[start] == 0:
                break
            fragments.append((number(entries[start : start + 12]), number(entries[start + 12 : start + 24])))
        if not continued:
            return fragments
        extension = read_block()
        entries, continued = extension[:504], extension[504]
        total += BLOCK
    raise UnhashableLayer("archive/tar: sparse map too long")


def pax_version(records: Records) -> str | None:
    """Which PAX sparse form an entry is in: `map` (0.0 and 0.1), `data` (1.0), or none."""
    major, minor = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
    if major == b"0" and minor in {b"0", b"1"}:
        return "map"
    if major == b"1" and minor == b"0":
        return "data"
    if major or minor:
        return None
    return "map" if records.get(SPARSE_MAP) else None


def apply_pax_name_and_size(header: Header) -> None:
    """Replace the stand-in name and size of a PAX sparse entry by the real ones."""
    header.name = header.records.get(b"GNU.sparse.name") or header.name
    size = header.records.get(b"GNU.sparse.size") or header.records.get(b"GNU.sparse.realsize")
    if size:
        header.size = decimal(size)


def mapped_fragments(records: Records) -> Fragments:
    """The map of forms 0.0 and 0.1, which is kept in the records."""
    count = decimal(records.get(b"GNU.sparse.numblocks", b""))
    text = records.get(SPARSE_MAP, b"")
    numbers = text.split(b",") if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise malformed("the sparse map has another length than it says")
    return _pairs([decimal(digits) for digits in numbers])


def leading_fragments(read_block: ReadBlock) -> Fragments:
    """The map of form 1.0, which stands in whole blocks before the file's data."""
    text = bytearray()
    newlines = 0

    def feed(wanted: int) -> None:
        nonlocal newlines
        while newlines < wanted:
            if len(text) + BLOCK > _MAX_MAP:
                raise UnhashableLayer("archive/tar: sparse map too long")
            block = read_block()
            newlines += block.count(b"\n")
            text.extend(block)

    feed(1)
    count = decimal(bytes(text[: text.index(b"\n")]))
    if not 0 <= count <= _MAX_INT64 // 2:
        raise malformed("the sparse map has an impossible length")
    feed(1 + 2 * count)
    return _pairs([decimal(digits) for digits in bytes(text).split(b"\n")[1 : 1 + 2 * count]])


def check(fragments: Fragments, size: int) -> None:
    """Refuse maps whose parts overlap, run backwards or leave the file."""
    if size < 0 or len(fragments) > _MAX_ENTRIES:
        raise malformed("the sparse map does not fit its file")
    end = 0
    for offset, length in fragments:
        if offset < 0 or length < 0 or offset + length > size or offset < end:
            raise malformed("the sparse map does not fit its file")
        end = offset + length


def _pairs(numbers: list[int]) -> Fragments:
    return list(zip(numbers[::2], numbers[1::2], strict=True))
