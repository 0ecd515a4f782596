"""The documents to summarize: text files below the mount point of the sealed file system."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from summarizer.content import read_content
from summarizer.errors import DocumentsError
from summarizer.pins import Pin

_SUFFIXES: Final = frozenset({".txt", ".md"})
# Far above any text that somebody wants summarized on one page, and small beside the group's memory.
_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_DOCUMENTS: Final = 1000


@dataclass(frozen=True)
class Document:
    """One document. Its name may be as confidential as its text.

    Attributes:
        name: Path below the documents directory, with `/`.
        text: The whole text.
    """

    name: str
    text: str

    def __repr__(self) -> str:
        """Say nothing: a representation may end up in a log."""
        return "Document(…)"


@dataclass(frozen=True)
class Found:
    """What a documents directory holds.

    Attributes:
        documents: The readable ones, ordered by name.
        skipped: How many other files there are: hidden, not .txt or .md, or empty.
        sha256: SHA-256 of the content manifest; empty where nothing is pinned.
        version: The version that the owner signed, or None.
    """

    documents: tuple[Document, ...]
    skipped: int
    sha256: str = ""
    version: int | None = None


def read_documents(directory: Path, pin: Pin | None = None) -> Found:
    """Return the documents below `directory`; hidden files and folders are passed over.

    Args:
        directory: The mount point.
        pin: What all files have to be, or None where they are neither pinned nor signed.

    Raises:
        ContentError: Storage serves a link, a special file, or something else than what is pinned.
        DocumentsError: A document is no UTF-8 or too large, there are too many, or there is none. Skipping one in
            silence would let storage choose which documents are seen.
    """
    content = read_content(directory, "the documents", keep=_is_document, pin=pin)
    if len(content.kept) > _MAX_DOCUMENTS:
        raise DocumentsError(f"there are {len(content.kept)} documents: seal at most {_MAX_DOCUMENTS}")
    texts = {name: _text(data, content.numbers[name]) for name, data in content.kept.items()}
    documents = tuple(Document(name, text) for name, text in texts.items() if text.strip())
    skipped = content.others + len(texts) - len(documents)
    if not documents:
        raise DocumentsError(
            f"the mounted file system holds no readable document ({skipped} other files): "
            "seal .txt or .md files in UTF-8 of at most 8 MiB each"
        )
    return Found(documents, skipped, content.sha256, content.version)


def _is_document(path: str) -> bool:
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and Path(path).suffix.lower() in _SUFFIXES


def _text(data: bytes, number: int) -> str:
    if len(data) > _MAX_BYTES:
        raise DocumentsError(f"file {number} of the documents is larger than 8 MiB: seal it in parts")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentsError(
            f"file {number} of the documents is no UTF-8 text: save it in UTF-8 and seal again, or restore the blob"
        ) from None
