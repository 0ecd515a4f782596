"""The documents of all file systems together, by the number that readers know them by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from summarizer.delivery import Parcel
from summarizer.documents import Document, Found
from summarizer.guard import Ledger, letters_of
from summarizer.progress import ListedDocument
from summarizer.text import count_words


@dataclass(frozen=True)
class Opened:
    """The documents of one file system among those of all.

    Attributes:
        name: The file system's name.
        found: What it holds.
        before: How many documents the file systems before it hold.
    """

    name: str
    found: Found
    before: int

    def parcel(self, number: int, body: dict[str, Any]) -> Parcel:
        """Return a result about one of its documents, addressed to its owner."""
        return Parcel(self.name, self.found.sha256, number - self.before, body)


class Corpus:
    """What is known of each document, and what has been said about it.

    Attributes:
        texts: The documents that can be read, by number.
        listed: What readers are told of each document, by number.
        total: How many documents there are, of whatever shard.
    """

    def __init__(self, *, show_names: bool) -> None:
        """Begin with no documents.

        Args:
            show_names: Whether readers see the names of files.
        """
        self._show_names = show_names
        self.texts: dict[int, Document] = {}
        self.listed: dict[int, ListedDocument] = {}
        self._opened: list[Opened] = []
        self.total = 0
        self._lies_in: dict[int, Opened] = {}
        # By the letters themselves: the same text under two names has one ledger, whoever asks in whatever way.
        self._ledgers: dict[str, Ledger] = {}
        self._ledger_of: dict[int, Ledger] = {}

    def add(self, name: str, found: Found) -> None:
        """Add what a file system holds."""
        opened = Opened(name, found, self.total)
        self._opened.append(opened)
        self.total += found.total
        for document in found.documents:
            number = opened.before + document.number
            self._lies_in[number] = opened
            self.listed[number] = self._list(opened, number, document)
            if document.reason is None:
                self.texts[number] = document

    def ledger(self, number: int) -> Ledger:
        """Return what has been shown of a document so far."""
        if number not in self._ledger_of:
            letters = letters_of(self.texts[number].text)
            self._ledger_of[number] = self._ledgers.setdefault(letters, Ledger(letters))
        return self._ledger_of[number]

    def parcel(self, number: int, body: dict[str, Any]) -> Parcel:
        """Return a result about a document, addressed to its owner."""
        return self._lies_in[number].parcel(number, body)

    def refusals(self) -> Sequence[Parcel]:
        """Return for each document that cannot be read what its owner is told."""
        return [
            opened.parcel(
                opened.before + document.number,
                {
                    "document": document.name,
                    "fileSystem": opened.name,
                    "reason": document.reason,
                    "contentVersion": opened.found.version,
                },
            )
            for opened in self._opened
            for document in opened.found.documents
            if document.reason is not None
        ]

    def _list(self, opened: Opened, number: int, document: Document) -> ListedDocument:
        return ListedDocument(
            number,
            document.name if self._show_names else f"Document {number}",
            PurePath(document.name).suffix.lower().removeprefix("."),
            count_words(document.text),
            document.unread,
            document.reason,
            opened.name,
        )
