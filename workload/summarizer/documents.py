"""The documents to summarize: the files below the mount point of the sealed file system that are text of some kind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from summarizer.content import read_content
from summarizer.cores import available_cores
from summarizer.errors import DocumentsError
from summarizer.extraction.extract import FORMATS
from summarizer.extraction.process import extract_apart
from summarizer.extraction.reasons import Reason, Unreadable
from summarizer.pins import Pin

_MAX_DOCUMENTS: Final = 1000


@dataclass(frozen=True)
class Document:
    """One document. Its name may be as confidential as its text.

    Attributes:
        number: Its place among all documents, readable or not, from 1.
        name: Path below the documents directory, with `/`.
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
        documents: Those of a kind that is read, ordered by name.
        others: How many other files there are: hidden, or of another kind.
        sha256: SHA-256 of the content manifest; empty where nothing is pinned.
        version: The version that the owner signed, or None.
    """

    documents: tuple[Document, ...]
    others: int
    sha256: str = ""
    version: int | None = None

    @property
    def readable(self) -> tuple[Document, ...]:
        """The documents that have a text."""
        return tuple(document for document in self.documents if document.reason is None)


def read_documents(
    directory: Path, pin: Pin | None = None, report: Callable[[int, int], None] = lambda _done, _of: None
) -> Found:
    """Return the documents below `directory`; hidden files and folders are passed over.

    Args:
        directory: The mount point.
        pin: What all files have to be, or None where they are neither pinned nor signed.
        report: Told how many documents of how many are read.

    Raises:
        ContentError: Storage serves a link, a special file, or something else than what is pinned.
        DocumentsError: There are too many, or none can be read. Single ones that cannot be read are in the result:
            leaving one out in silence would let storage choose which documents are seen.
    """
    content = read_content(directory, "the documents", keep=_is_document, pin=pin)
    if len(content.kept) > _MAX_DOCUMENTS:
        raise DocumentsError(f"there are {len(content.kept)} documents: seal at most {_MAX_DOCUMENTS}")
    documents = []
    with ThreadPoolExecutor(available_cores()) as threads:
        files = enumerate(content.kept.items(), start=1)
        for document in threads.map(lambda file: _read(file[0], *file[1]), files):
            documents.append(document)
            report(len(documents), len(content.kept))
    found = Found(tuple(documents), content.others, content.sha256, content.version)
    if not found.readable:
        raise DocumentsError(
            f"the mounted file system holds no readable document ({content.others + len(documents)} other files): "
            f"seal {', '.join(sorted(FORMATS))} files with text in them"
        )
    return found


def _is_document(path: str) -> bool:
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and Path(path).suffix.lower() in FORMATS


def _read(number: int, name: str, data: bytes) -> Document:
    try:
        extract = extract_apart(Path(name).suffix.lower(), data)
    except Unreadable as unreadable:
        return Document(number, name, reason=unreadable.reason)
    return Document(number, name, extract.text, extract.unread)
