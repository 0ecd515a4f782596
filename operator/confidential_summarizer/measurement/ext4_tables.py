"""The tables that end a compact ext4 file system: inodes, bitmaps, group descriptors and the superblock."""

import struct
from collections.abc import Sequence

from confidential_summarizer.errors import UnhashableLayer
from confidential_summarizer.measurement import ext4_format as ext4
from confidential_summarizer.measurement.ext4_format import BLOCK, BLOCKS_PER_GROUP
from confidential_summarizer.measurement.verity import BlockSink

_DESCRIPTOR = struct.Struct("<IIIHHH14x")
_COMPATIBLE = 0x208  # sparse_super2, ext_attr
_INCOMPATIBLE = 0x242  # filetype, extents, flex_bg
_READ_ONLY_COMPATIBLE = 0x104A  # large_file, huge_file, extra_isize, readonly
_U16 = 0xFFFF


def write_tables(sink: BlockSink, inode_table: bytearray, directories: Sequence[int]) -> None:
    """Append the inode table and the bitmaps, then fill in the blocks reserved at the front.

    Args:
        sink: Where the file system goes; all file and directory data are in it.
        inode_table: All inodes from number 1 on, 256 bytes each.
        directories: The inodes that are directories.

    Raises:
        UnhashableLayer: The file system would be larger than 128 GiB.
    """
    inodes = len(inode_table) // ext4.INODE_SIZE
    table_start = sink.count
    groups, per_group = choose_groups(table_start, inodes)
    bitmap_start = table_start + groups * per_group * ext4.INODE_SIZE // BLOCK
    used_end = bitmap_start + 2 * groups
    total = max(used_end, (groups - 1) * BLOCKS_PER_GROUP + 1)
    if total > ext4.MAX_BLOCKS:
        raise UnhashableLayer("disk exceeded maximum size")

    padded = inode_table + bytes(-len(inode_table) % BLOCK)
    sink.append(padded)
    sink.append_zeros(bitmap_start - sink.count)
    used_blocks = []
    for group in range(groups):
        bitmap, used = _block_bitmap(group, groups, used_end, total)
        used_blocks.append(used)
        sink.append(bitmap)
        sink.append(_ones(_within(inodes - group * per_group, per_group)))
    sink.append_zeros(total - sink.count)

    used_inodes = [_within(inodes - group * per_group, per_group) for group in range(groups)]
    directory_counts = [0] * groups
    for inode in directories:
        directory_counts[(inode - 1) // per_group] += 1
    descriptors = b"".join(
        _DESCRIPTOR.pack(
            bitmap_start + 2 * group,
            bitmap_start + 2 * group + 1,
            table_start + group * per_group * ext4.INODE_SIZE // BLOCK,
            (BLOCKS_PER_GROUP - used_blocks[group]) & _U16,
            (per_group - used_inodes[group]) & _U16,
            directory_counts[group] & _U16,
        )
        for group in range(groups)
    ).ljust(ext4.DESCRIPTOR_BLOCKS * BLOCK, b"\0")
    for index in range(ext4.DESCRIPTOR_BLOCKS):
        sink.replace(1 + index, descriptors[index * BLOCK : (index + 1) * BLOCK])
    free_blocks = BLOCKS_PER_GROUP * groups - sum(used_blocks)
    free_inodes = groups * per_group - sum(used_inodes)
    sink.replace(0, _superblock(groups * per_group, total, free_blocks, free_inodes, per_group))


def choose_groups(data_blocks: int, inodes: int) -> tuple[int, int]:
    """The fewest block groups that hold everything, then the fewest inodes in each: (groups, inodes per group)."""
    best = (0, 0)
    for per_group in range(ext4.INODES_PER_GROUP_STEP, ext4.MAX_INODES_PER_GROUP + 1, ext4.INODES_PER_GROUP_STEP):
        data_per_group = BLOCKS_PER_GROUP - per_group * ext4.INODE_SIZE // BLOCK - 2
        needed = max(data_blocks, (inodes - 1) // per_group * data_per_group + 1)
        groups = -(-needed // data_per_group)
        if not best[0] or groups < best[0]:
            best = (groups, per_group)
    return best


def _block_bitmap(group: int, groups: int, used_end: int, total: int) -> tuple[bytes, int]:
    """One group's bitmap and how many of its blocks count as used."""
    bits = (1 << _within(used_end - group * BLOCKS_PER_GROUP, BLOCKS_PER_GROUP)) - 1
    if group == 0:
        used_descriptors = -(-groups // ext4.DESCRIPTORS_PER_BLOCK)
        for block in range(1 + used_descriptors, 1 + ext4.DESCRIPTOR_BLOCKS):
            bits &= ~(1 << block)
    if group == groups - 1 and total % BLOCKS_PER_GROUP:
        bits |= (1 << BLOCKS_PER_GROUP) - (1 << total % BLOCKS_PER_GROUP)  # blocks beyond the disk count as used
    return bits.to_bytes(BLOCK, "little"), bits.bit_count()


def _superblock(inodes: int, blocks: int, free_blocks: int, free_inodes: int, inodes_per_group: int) -> bytes:
    block = bytearray(BLOCK)
    for offset, layout, value in (
        (0, "<I", inodes),
        (4, "<I", blocks),
        (12, "<I", free_blocks),
        (16, "<I", free_inodes),
        (24, "<I", 2),  # block size: 1024 << 2
        (28, "<I", 2),  # cluster size
        (32, "<I", BLOCKS_PER_GROUP),
        (36, "<I", BLOCKS_PER_GROUP),
        (40, "<I", inodes_per_group),
        (56, "<H", 0xEF53),  # magic
        (58, "<H", 1),  # cleanly unmounted
        (60, "<H", 1),  # on errors: continue
        (76, "<I", 1),  # dynamic revision
        (84, "<I", ext4.FIRST_INODE),
        (88, "<H", ext4.INODE_SIZE),
        (92, "<I", _COMPATIBLE),
        (96, "<I", _INCOMPATIBLE),
        (100, "<I", _READ_ONLY_COMPATIBLE),
        (348, "<H", 24),  # minimum extra inode size
        (350, "<H", 24),  # wanted extra inode size
        (372, "<B", 31),  # groups per flexible group: 2**31
        (616, "<I", ext4.LOST_AND_FOUND_INODE),
    ):
        struct.pack_into(layout, block, 1024 + offset, value)
    return bytes(block)


def _ones(count: int) -> bytes:
    return ((1 << count) - 1).to_bytes(BLOCK, "little")


def _within(value: int, limit: int) -> int:
    return min(max(value, 0), limit)
