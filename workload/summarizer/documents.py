"""The documents to summarize: the files below the mount point of the sealed file system that are text of some kind."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from summarizer.content import read_content
from summarizer.cores import available_cores
from summarizer.errors import DocumentsError
from summarizer.extraction.extract import FORMATS
from summarizer.extraction.process import extract_apart
from summarizer.extraction.reasons import Reason, Unreadable
from summarizer.pins import Pin
from summarizer.shard import Shard, ShardBy

# As many as readers find their way through.
_MAX_DOCUMENTS: Final = 1000
# A shard holds its documents in memory: at 10 KiB of text each this is a GiB.
_MAX_OF_SHARD: Final = 100_000

Finished = Callable[[str, Sequence[int]], frozenset[int]]
"""Tells which of these documents of a content have a result already."""


@dataclass(frozen=True)
class Document:
    """One document. Its name may be as confidential as its text.

    Attributes:
        number: Its place in its file system, among all documents, readable or not, from 1.
        name: Path below the documents directory, with `/`; where it is no UTF-8, as far as it is.
        text: The whole text, paragraphs parted by blank lines; empty if it cannot be read.
        unread: How many of its parts hold no text that is read: scanned pages, attachments.
        reason: Why it cannot be read, or None.
    """

    number: int
    name: str
    text: str = ""
    unread: int = 0
    reason: Reason | None = None

    def __repr__(self) -> str:
        """Say nothing: a representation may end up in a log."""
        return "Document(…)"


@dataclass(frozen=True)
class Found:
    """What a documents directory holds.

    Attributes:
        documents: Those of a kind that is read, ordered by name; of a shard, those that have no result yet.
        others: How many other files there are: hidden, or of another kind.
        sha256: SHA-256 of the content manifest; empty where nothing is pinned.
        version: The version that the owner signed, or None.
        total: How many documents there are, of whatever shard.
        finished: How many documents of this shard have a result already.
    """

    documents: tuple[Document, ...]
    others: int
    sha256: str = ""
    version: int | None = None
    total: int = 0
    finished: int = 0

    @property
    def readable(self) -> tuple[Document, ...]:
        """The documents that have a text."""
        return tuple(document for document in self.documents if document.reason is None)


def read_documents(
    directory: Path,
    pin: Pin | None = None,
    report: Callable[[int, int], None] = lambda _done, _of: None,
    shard: Shard | None = None,
    finished: Finished = lambda _sha256, _numbers: frozenset(),
    what: str = "the documents",
) -> Found:
    """Return the documents below `directory`; hidden files and folders are passed over.

    Args:
        directory: The mount point.
        pin: What all files have to be, or None where they are neither pinned nor signed.
        report: Told how many documents of how many are read.
        shard: Which of them to read; None for all, where readers have to find their way through them.
        finished: Tells which need not be read any more.
        what: What to call them in messages.

    Raises:
        ContentError: Storage serves a link, a special file, or something else than what is pinned.
        DocumentsError: There are too many, or none can be read. Single ones that cannot be read are in the result:
            leaving one out in silence would let storage choose which documents are seen.
    """
    share = _Share(shard or Shard(0, 1))
    content = read_content(directory, what, keep=share, pin=pin)
    most = _MAX_DOCUMENTS if shard is None else _MAX_OF_SHARD
    if len(share.numbers) > most:
        dealt = shard is not None and shard.by is ShardBy.DOCUMENT
        where = "make more shards: each takes" if dealt else "seal"
        raise DocumentsError(f"{what} are {len(share.numbers)} files: {where} at most {most}")
    skipped = finished(content.sha256, share.numbers)
    files = [(n, *file) for n, file in zip(share.numbers, content.kept.items(), strict=True) if n not in skipped]
    documents = []
    with ThreadPoolExecutor(available_cores()) as threads:
        for document in threads.map(lambda file: _read(*file), files):
            documents.append(document)
            report(len(documents), len(files))
    others = content.others - (share.seen - len(share.numbers))
    found = Found(tuple(documents), others, content.sha256, content.version, share.seen, len(skipped))
    if not share.seen or (shard is None and not found.readable):
        raise DocumentsError(
            f"none of {what} can be read ({others + len(documents)} other files): "
            f"seal {', '.join(sorted(FORMATS))} files with text in them"
        )
    return found


@dataclass
class _Share:
    """Numbers all documents, in the order in which it is asked about their paths, and keeps those of a shard."""

    shard: Shard
    seen: int = 0
    numbers: list[int] = field(default_factory=list)

    def __call__(self, path: str) -> bool:
        if not _is_document(path):
            return False
        self.seen += 1
        if not self.shard.holds(self.seen):
            return False
        self.numbers.append(self.seen)
        return True


def _is_document(path: str) -> bool:
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and Path(path).suffix.lower() in FORMATS


def _read(number: int, path: str, data: bytes) -> Document:
    # Half a character, in which Python keeps a byte that is no UTF-8, can be written nowhere.
    name = os.fsencode(path).decode(errors="replace")
    try:
        extract = extract_apart(Path(path).suffix.lower(), data)
    except Unreadable as unreadable:
        return Document(number, name, reason=unreadable.reason)
    return Document(number, name, extract.text, extract.unread)
