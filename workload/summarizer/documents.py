"""The documents to summarize: text files below the mount point of the sealed file system."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from summarizer.errors import DocumentsError

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
        skipped: How many other files there are: not .txt or .md, not UTF-8, empty, too large or not readable.
    """

    documents: tuple[Document, ...]
    skipped: int


def read_documents(directory: Path) -> Found:
    """Return the documents below `directory`; hidden files and folders are passed over.

    Raises:
        DocumentsError: There is no readable document.
    """
    documents: list[Document] = []
    skipped = 0
    for path in _files(directory):
        text = _read(path) if len(documents) < _MAX_DOCUMENTS else None
        if text is None:
            skipped += 1
        else:
            documents.append(Document(path.relative_to(directory).as_posix(), text))
    if not documents:
        raise DocumentsError(
            f"the mounted file system holds no readable document ({skipped} other files): "
            "seal .txt or .md files in UTF-8 of at most 8 MiB each"
        )
    return Found(tuple(documents), skipped)


def _files(directory: Path) -> Iterator[Path]:
    # Not following links: one in the sealed file system could point at anything in this container.
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "lost+found")
        for name in sorted(names):
            path = Path(folder) / name
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path


def _read(path: Path) -> str | None:
    if path.suffix.lower() not in _SUFFIXES:
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    return text if text.strip() else None
