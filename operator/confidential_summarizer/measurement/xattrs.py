"""Extended attributes: where they go in an inode or its attribute block, and their bytes there.

Format: Linux ext4 (`fs/ext4/xattr.h`); which attribute goes where, and the order in the block, are the reference
converter's.
"""

import struct
from dataclasses import dataclass

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement.ext4_format import BLOCK

IN_INODE_AREA = 104
_MAGIC = 0xEA020000
_IN_INODE_REGION, _IN_INODE_BUDGET = 100, 96
_BLOCK_HEADER = 32
_BLOCK_REGION, _BLOCK_BUDGET = BLOCK - _BLOCK_HEADER, 4060
_MAX_BLOCK_ENTRIES = 12
"""Up to here Go's `sort.Slice` is an insertion sort; beyond, the reference's comparison has no order to imitate."""
_ENTRY = struct.Struct("<BBHIII")
_MASK = 0xFFFFFFFF
_PREFIXES = (
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"system.richacl", 8),
    (b"system.", 7),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
)


@dataclass(frozen=True, slots=True)
class _Attribute:
    name: bytes
    index: int
    value: bytes

    @property
    def need(self) -> int:
        return 16 + _round4(len(self.name)) + _round4(len(self.value))


@dataclass(frozen=True, slots=True)
class Placement:
    """The bytes of both places; empty where nothing goes."""

    area: bytes
    block: bytes


def place(attributes: dict[bytes, bytes], *, block_exists: bool) -> Placement:
    """Put attributes, by full name, into the inode while there is room, and the others into its attribute block.

    Args:
        attributes: Values by full name.
        block_exists: Whether the inode has an attribute block already, which is then rewritten even if nothing is left
            for it.

    Raises:
        UnhashableLayer: They do not fit.
    """
    inside: list[_Attribute] = []
    outside: list[_Attribute] = []
    room, block_room = _IN_INODE_BUDGET, _BLOCK_BUDGET
    for name in sorted(attributes):
        attribute = _compress(name, attributes[name])
        if attribute.need <= room:
            room -= attribute.need
            inside.append(attribute)
        elif attribute.need <= block_room:
            block_room -= attribute.need
            outside.append(attribute)
        else:
            raise UnhashableLayer(f"could not fit xattr {name.decode(errors='replace')}")
    area = struct.pack("<I", _MAGIC) + _region(inside, _IN_INODE_REGION, 0) if inside else b""
    block = _attribute_block(outside) if outside or block_exists else b""
    return Placement(area, block)


def read_area(area: bytes) -> dict[bytes, bytes]:
    """The attributes in an inode, by full name, as the reference reads them back; see `_read`."""
    return _read(area[4:], 0)


def read_block(block: bytes) -> dict[bytes, bytes]:
    """The attributes in an attribute block, by full name, as the reference reads them back; see `_read`."""
    return _read(block[_BLOCK_HEADER:], _BLOCK_HEADER)


def _read(region: bytes, base: int) -> dict[bytes, bytes]:
    """An empty stored name ends the list, so the reference forgets POSIX ACLs and whatever follows them."""
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(region) and region[start]:
        length, index, offset, _, size, _ = _ENTRY.unpack_from(region, start)
        name = region[start + 16 : start + 16 + length]
        prefix = next((text for text, number in _PREFIXES if number == index), b"")
        found[prefix + name] = region[offset - base : offset - base + size]
        start += 16 + _round4(length)
    return found


def _attribute_block(attributes: list[_Attribute]) -> bytes:
    if len(attributes) > _MAX_BLOCK_ENTRIES:
        raise UnhashableLayer(
            f"could not fit xattr: {len(attributes)} of one file go to its attribute block, at most 12 can"
        )
    _sort_as_reference(attributes)
    header = struct.pack("<III", _MAGIC, 1, 1).ljust(_BLOCK_HEADER, b"\0")
    return header + _region(attributes, _BLOCK_REGION, _BLOCK_HEADER)


def _region(attributes: list[_Attribute], size: int, base: int) -> bytes:
    region = bytearray(size)
    start, end = 0, size
    for attribute in attributes:
        end -= _round4(len(attribute.value))
        region[end : end + len(attribute.value)] = attribute.value
        entry = _ENTRY.pack(
            len(attribute.name) & 0xFF, attribute.index, end + base, 0, len(attribute.value), _hash(attribute)
        ) + attribute.name.ljust(_round4(len(attribute.name)), b"\0")
        region[start : start + len(entry)] = entry
        start += len(entry)
    return bytes(region)


def _compress(name: bytes, value: bytes) -> _Attribute:
    for prefix, index in _PREFIXES:
        if name.startswith(prefix):
            return _Attribute(name[len(prefix) :], index, value)
    return _Attribute(name, 0, value)


def _hash(attribute: _Attribute) -> int:
    value = 0
    for byte in attribute.name:
        value = (value << 5 & _MASK) ^ value >> 27 ^ byte
    padded = attribute.value.ljust(_round4(len(attribute.value)), b"\0")
    for (word,) in struct.iter_unpack("<I", padded):
        value = (value << 16 & _MASK) ^ value >> 16 ^ word
    return value


def _sort_as_reference(attributes: list[_Attribute]) -> None:
    """Insertion sort: the reference's comparison is no order, so another sort would give another result."""
    for i in range(1, len(attributes)):
        j = i
        while j > 0 and _before(attributes[j], attributes[j - 1]):
            attributes[j], attributes[j - 1] = attributes[j - 1], attributes[j]
            j -= 1


def _before(one: _Attribute, other: _Attribute) -> bool:
    return one.index < other.index or len(one.name) < len(other.name) or one.name < other.name


def _round4(length: int) -> int:
    return length + 3 & ~3
