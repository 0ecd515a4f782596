"""Which documents of an archive one group of a batch works on, and how far it has come."""

from dataclasses import dataclass
from enum import StrEnum


class ShardBy(StrEnum):
    """What a shard is made of."""

    DOCUMENT = "Document"
    FILE_SYSTEM = "FileSystem"


@dataclass(frozen=True)
class Shard:
    """Every `count`-th document, from the one at `index`; or all of the file system at `index`.

    A document's number is its place among all documents by the bytes of their paths, which the pinned content decides.
    So it, and the name of its result, is the same at each start, however many shards there are and whatever makes one.

    Attributes:
        index: From 0.
        count: How many shards there are.
        by: What they are made of.
    """

    index: int
    count: int
    by: ShardBy = ShardBy.DOCUMENT

    def holds(self, number: int) -> bool:
        """Tell whether the document of this number, from 1, of a file system that it reads is one of the shard's."""
        return self.by is ShardBy.FILE_SYSTEM or (number - 1) % self.count == self.index


@dataclass(frozen=True)
class ShardCount:
    """How far a shard has come.

    Attributes:
        shard: Which.
        total: Documents of all file systems that it reads.
        documents: Documents of this one.
        before: Of these, how many had a result when it started.
        written: How many results it has written.
        refused: Of the written ones, how many say only why there is no summary.
        failed: Documents whose summary could not be made; another start tries them again.
        seconds: For how long it has been at it.
    """

    shard: Shard
    total: int
    documents: int
    before: int
    written: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
