"""Work that ends, instead of a server: an archive of documents, summarized once."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pydantic import Field

from confidential_summarizer.api.rules import Ruled

SHARD_INDEX: Final = "JOB_COMPLETION_INDEX"
"""The variable by which a group knows its shard, from 0. Kubernetes' own, which it sets in every container of an
Indexed Job; on other targets we set it."""
ANY_SHARD: Final = "===SHARD==="
"""What stands for its value in a manifest that is the same for all shards."""
_INDEXES: Final = re.compile("[0-9]{1,2}(-[0-9]{1,2})?(,[0-9]{1,2}(-[0-9]{1,2})?){0,99}")
"""Who may write the status of a Job could have more of them counted than there is memory for."""


class ShardBy(StrEnum):
    """What a shard is made of."""

    DOCUMENT = "Document"
    FILE_SYSTEM = "FileSystem"


class Batch(Ruled):
    """Summarize every document once, then end. Each result is written to its file system's output; there is no page."""

    shards: int = Field(
        ge=1,
        le=100,
        description="Into how many parts the documents are cut, one container group each. Part of what the data owner "
        "approves. Another number makes no document twice.",
    )
    shard_by: ShardBy = Field(
        default=ShardBy.DOCUMENT,
        description="Document: a shard is every n-th document of each file system, in the order of their paths. "
        "FileSystem: it is one file system with role Documents, in the order of the spec; its group reads no other, "
        "and shards has to be their number. Part of what the data owner approves. Another choice makes no document "
        "twice.",
    )
    parallelism: int = Field(
        default=1,
        ge=0,
        le=100,
        description="How many groups work at a time; can change while they do. 0 pauses: groups end, results stay.",
    )
    backoff_limit: int = Field(
        default=3,
        ge=0,
        le=20,
        description="How often a shard may fail and be tried again before it counts as failed. The others go on. A "
        "higher number lets a failed batch go on.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        description="Seconds after its end at which this resource is deleted, as its deletion policies say; none: it "
        "stays. Results are never deleted.",
    )


def read_indexes(text: str | None) -> frozenset[int]:
    """Read a list of shards as a Job writes it, such as `0-3,7`; none where it is no list of so few shards."""
    if not text or _INDEXES.fullmatch(text) is None:
        return frozenset()
    ranges = [part.partition("-") for part in text.split(",")]
    return frozenset(n for first, _, last in ranges for n in range(int(first), int(last or first) + 1))


def write_indexes(shards: Iterable[int]) -> str:
    """Write a list of shards as a Job does."""
    ranges: list[list[int]] = []
    for index in sorted(shards):
        if ranges and ranges[-1][-1] == index - 1:
            ranges[-1][1:] = [index]
        else:
            ranges.append([index])
    return ",".join("-".join(map(str, one)) for one in ranges)
