"""The compact ext4 layout of the reference converter: constants and on-disk records.

Format: Linux ext4 (`fs/ext4/ext4.h`), little-endian throughout, restricted to what a read-only layer needs: no journal,
no checksums, no directory index, group descriptors for the largest disk always reserved.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCK = 4096
BLOCKS_PER_GROUP = 32768
MAX_BLOCKS = (128 << 30) // BLOCK
"""The largest layer, 128 GiB: it fixes the number of reserved descriptor blocks, and so every layer's hash."""
DESCRIPTORS_PER_BLOCK = 128
DESCRIPTOR_BLOCKS = MAX_BLOCKS // BLOCKS_PER_GROUP // DESCRIPTORS_PER_BLOCK
FIRST_DATA_BLOCK = 1 + DESCRIPTOR_BLOCKS
INODE_SIZE = 256
INODES_PER_GROUP_STEP = BLOCK // INODE_SIZE
MAX_INODES_PER_GROUP = BLOCK * 8
ROOT_INODE, LOST_AND_FOUND_INODE = 2, 11
FIRST_INODE = 11
MAX_LINKS = 65000
MAX_NAME = 255
MAX_FILE = 128 << 30
MAX_INLINE_TARGET = 59

TYPE_MASK, PERMISSIONS = 0o170000, 0o7777
REGULAR, DIRECTORY, SYMLINK = 0o100000, 0o040000, 0o120000
CHARACTER, BLOCK_DEVICE, FIFO = 0o020000, 0o060000, 0o010000
FILE_TYPES = {REGULAR: 1, DIRECTORY: 2, CHARACTER: 3, BLOCK_DEVICE: 4, FIFO: 5, SYMLINK: 7}
"""The type byte of a directory entry."""

HUGE_FILE, EXTENTS = 0x40000, 0x80000

_BLOCKS_PER_EXTENT = 0x8000
_EXTENT_MAGIC = 0xF30A
_ROOT_EXTENTS = 4
_EXTENTS_PER_BLOCK = BLOCK // 12 - 1
MAX_FILE_BLOCKS = (_EXTENTS_PER_BLOCK - 1) * _BLOCKS_PER_EXTENT
"""Files of 340 extents and more (42.5 GiB) are refused: the reference indexes them wrongly."""
_EXTENT_HEADER, _EXTENT = struct.Struct("<HHHHI"), struct.Struct("<IHHI")
_ONE_EXTENT = struct.Struct("<HHHHIIHHI")
_INODE = struct.Struct("<HHIIII4xHHII68xII8xHH4xH2xIIIII104s")
_ENTRY = struct.Struct("<IHBB")
_LARGEST_FILLER = 12
"""Room that must stay free in a directory block for the unused entry that closes it."""


@dataclass(slots=True)
class Node:
    """The attributes of a file to create; times are encoded (`encode_time`), the size counts for regular files only.

    A file counts as made when it was last changed.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    atime: int = 0
    ctime: int = 0
    size: int = 0
    target: bytes = b""
    device_major: int = 0
    device_minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


def encode_time(time: tuple[int, int] | None) -> int:
    """A time as ext4's 64 bits: seconds in 34 bits, nanoseconds above; unset and Go's zero time are 0."""
    if time is None or time == (-62135596800, 0):
        return 0
    seconds, nanoseconds = time
    if seconds < -0x80000000:
        return 0x80000000
    if seconds > 0x37FFFFFFF:
        return 0x37FFFFFFF
    # The reference joins both parts by OR; for times before 1970 the sign bits swallow the nanoseconds.
    return (seconds & 0xFFFFFFFFFFFFFFFF) | nanoseconds << 34


def copied_time(encoded: int) -> int:
    """What a time becomes when the reference reads it back from an inode and writes it to another."""
    if not encoded:
        return 0
    seconds, nanoseconds = encoded & 0x3FFFFFFFF, encoded >> 34
    if 0x80000000 <= seconds <= 0xFFFFFFFF:
        seconds -= 1 << 32
    carry, nanoseconds = divmod(nanoseconds, 1_000_000_000)
    return encode_time((seconds + carry, nanoseconds))


def pack_inode(node: Node, links: int, blocks: int, size: int, acl: int, area: bytes) -> bytes:
    """One inode without content, 256 bytes."""
    return _INODE.pack(
        node.mode,
        node.uid & 0xFFFF,
        size & 0xFFFFFFFF,
        node.atime & 0xFFFFFFFF,
        node.ctime & 0xFFFFFFFF,
        node.mtime & 0xFFFFFFFF,
        node.gid & 0xFFFF,
        links & 0xFFFF,
        blocks,
        HUGE_FILE,
        acl,
        size >> 32,
        node.uid >> 16 & 0xFFFF,
        node.gid >> 16 & 0xFFFF,
        24,  # extra inode size: up to and with the creation time
        node.ctime >> 32,
        node.mtime >> 32,
        node.atime >> 32,
        node.mtime & 0xFFFFFFFF,
        node.mtime >> 32,
        area,
    )


def unpack_inode(record: bytes | bytearray | memoryview) -> Node:
    """The attributes in an inode written by `pack_inode`, without size, content and extended attributes."""
    values = _INODE.unpack(record)
    return Node(
        mode=values[0],
        uid=values[1] | values[12] << 16,
        gid=values[6] | values[13] << 16,
        atime=values[3] | values[17] << 32,
        ctime=values[4] | values[15] << 32,
        mtime=values[5] | values[16] << 32,
    )


def device_field(major: int, minor: int) -> bytes:
    """The block field of a device inode: the new encoding of its numbers, at offset 4."""
    number = (minor & 0xFF) | major << 8 | (minor & 0xFFFFFF00) << 12
    return struct.pack("<II", 0, number & 0xFFFFFFFF)


def extents(start: int, count: int) -> tuple[bytes, bytes]:
    """Describe `count` blocks from `start` on: the block field and, beyond 4 extents, the block that follows them."""
    if count <= _BLOCKS_PER_EXTENT:  # nearly every file
        return _ONE_EXTENT.pack(_EXTENT_MAGIC, 1, _ROOT_EXTENTS, 0, 0, 0, count, 0, start), b""
    leaves = [
        _EXTENT.pack(logical, min(_BLOCKS_PER_EXTENT, count - logical), 0, start + logical)
        for logical in range(0, count, _BLOCKS_PER_EXTENT)
    ]
    if len(leaves) <= _ROOT_EXTENTS:
        return _EXTENT_HEADER.pack(_EXTENT_MAGIC, len(leaves), _ROOT_EXTENTS, 0, 0) + b"".join(leaves), b""
    index = _EXTENT_HEADER.pack(_EXTENT_MAGIC, 1, _ROOT_EXTENTS, 1, 0) + struct.pack("<IIHH", 0, start + count, 0, 0)
    block = _EXTENT_HEADER.pack(_EXTENT_MAGIC, len(leaves), _EXTENTS_PER_BLOCK, 0, 0) + b"".join(leaves)
    return index, block.ljust(BLOCK, b"\0")


def directory_data(entries: Sequence[tuple[int, bytes, int]]) -> bytes:
    """The blocks of a directory from (inode, name, type) in order; an unused entry closes every block."""
    data = bytearray()
    for inode, name, kind in entries:
        length = 8 + len(name) + 3 & ~3
        if BLOCK - len(data) % BLOCK < length + _LARGEST_FILLER:
            _close_block(data)
        data += _ENTRY.pack(inode, length, len(name), kind) + name.ljust(length - 8, b"\0")
    _close_block(data)
    return bytes(data)


def _close_block(data: bytearray) -> None:
    left = BLOCK - len(data) % BLOCK
    data += _ENTRY.pack(0, left, 0, 0).ljust(left, b"\0")
