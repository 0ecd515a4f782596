"""The dm-verity hash tree over a file system, built while its blocks arrive.

Format: Linux dm-verity, hash type 1, SHA-256, 4096-byte data and hash blocks, a salt of 32 zero bytes before each
block: what `veritysetup format --salt=00…00 --hash=sha256 --data-block-size=4096 --hash-block-size=4096` computes.
"""

import hashlib
from typing import Protocol

BLOCK = 4096
_SALTED = hashlib.sha256(bytes(32))
_DIGEST = 32
_PER_GROUP = BLOCK // _DIGEST
"""Digests in one hash block: 128."""


class BlockSink(Protocol):
    """What a file system is written to: blocks of 4096 bytes, appended in order, a few of them replaced later."""

    @property
    def count(self) -> int:
        """Blocks so far."""
        ...

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add whole blocks."""
        ...

    def append_zeros(self, count: int) -> None:
        """Add blocks of zeros."""
        ...

    def append_replaceable(self, block: bytes) -> None:
        """Add one block that `replace` may be called for."""
        ...

    def replace(self, index: int, block: bytes) -> None:
        """Replace a block added by `append_replaceable`."""
        ...


def digest(block: bytes | bytearray | memoryview) -> bytes:
    """The salted digest of one block."""
    state = _SALTED.copy()
    state.update(block)
    return state.digest()


_ZERO_DIGEST = digest(bytes(BLOCK))
_ZERO_GROUP = digest(_ZERO_DIGEST * _PER_GROUP)


class VerityTree:
    """A `BlockSink` that keeps digests only, and of a full group of 128 blocks only the group's digest.

    Memory is 32 bytes for each 512 KiB of file system, and 4 KiB for each group with a replaceable block.

    Attributes:
        count: Blocks so far.
    """

    def __init__(self) -> None:
        self._leaves = bytearray()
        self._groups = bytearray()
        self._kept: dict[int, bytearray] = {}
        self._keep_group = False
        self.count = 0

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add whole blocks."""
        view = memoryview(data)
        self.count += len(view) // BLOCK
        copy, leaves = _SALTED.copy, self._leaves
        for start in range(0, len(view), BLOCK):
            state = copy()
            state.update(view[start : start + BLOCK])
            leaves += state.digest()
            if len(leaves) == BLOCK:
                self._close_group()
                leaves = self._leaves

    def append_zeros(self, count: int) -> None:
        """Add blocks of zeros, at a cost that hardly grows with their number."""
        self.count += count
        while count:
            room = _PER_GROUP - len(self._leaves) // _DIGEST
            if room == _PER_GROUP and count >= _PER_GROUP and not self._keep_group:
                self._groups += _ZERO_GROUP * (count // _PER_GROUP)
                count %= _PER_GROUP
                continue
            step = min(room, count)
            self._leaves += _ZERO_DIGEST * step
            count -= step
            if step == room:
                self._close_group()

    def append_replaceable(self, block: bytes) -> None:
        """Add one block, and keep the digests of its group."""
        self._keep_group = True
        self.append(block)

    def replace(self, index: int, block: bytes) -> None:
        """Replace a block added by `append_replaceable`."""
        group, place = divmod(index, _PER_GROUP)
        leaves = self._leaves if group == len(self._groups) // _DIGEST else self._kept[group]
        leaves[place * _DIGEST : (place + 1) * _DIGEST] = digest(block)

    def root(self) -> bytes:
        """The root hash, 32 bytes; call it once, after the last block."""
        if self._leaves:
            self._close_group()
        level = self._groups
        for group, leaves in self._kept.items():
            level[group * _DIGEST : (group + 1) * _DIGEST] = digest(leaves.ljust(BLOCK, b"\0"))
        while len(level) > _DIGEST:
            padded = memoryview(level.ljust(-(-len(level) // BLOCK) * BLOCK, b"\0"))
            level = bytearray().join(digest(padded[start : start + BLOCK]) for start in range(0, len(padded), BLOCK))
        return bytes(level)

    def _close_group(self) -> None:
        if self._keep_group:
            self._kept[len(self._groups) // _DIGEST] = self._leaves
            self._groups += bytes(_DIGEST)
        else:
            self._groups += digest(self._leaves.ljust(BLOCK, b"\0"))
        self._leaves = bytearray()
        self._keep_group = False
