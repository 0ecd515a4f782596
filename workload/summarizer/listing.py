"""What the page's list shows: documents in a chosen model and length, searched, sorted and cut into pages. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from summarizer.answers import summary_list
from summarizer.bodies import Summary
from summarizer.jobs import Length, Request, Result
from summarizer.progress import ListedDocument, Snapshot
from summarizer.settings import Settings

Order = Literal["Document", "Longest document", "Longest summary", "Newest summary", "Guard's verdict"]
ORDERS: Final[tuple[Order, ...]] = (
    "Document",
    "Longest document",
    "Longest summary",
    "Newest summary",
    "Guard's verdict",
)
PAGE_SIZE: Final = 20
"""Documents on one page: what a browser draws at once without a wait."""
_WORST_FIRST: Final = {"Withheld": 0, "Reported": 1, "Passed": 2}


@dataclass(frozen=True)
class Row:
    """One document of the list.

    Attributes:
        document: The document.
        summaries: One for each chosen model; None where there is none yet.
    """

    document: ListedDocument
    summaries: tuple[Summary | None, ...]

    @property
    def first(self) -> Summary | None:
        """The first summary that is there."""
        return next((summary for summary in self.summaries if summary is not None), None)


def rows(
    snapshot: Snapshot,
    settings: Settings,
    results: Mapping[Request, Result],
    models: Sequence[str],
    length: Length,
) -> list[Row]:
    """Return all documents with their summaries in these models and this length."""
    chosen = [result for key, result in results.items() if key.model in models and key.length is length]
    found = {(one.number, one.model): one for one in summary_list(snapshot, settings, chosen)}
    return [
        Row(document, tuple(found.get((document.number, model)) for model in models)) for document in snapshot.documents
    ]


def of_file_system(listed: Sequence[Row], name: str | None) -> list[Row]:
    """Return the rows of the documents that lie in a file system; all where None."""
    return [row for row in listed if name in (None, row.document.file_system)]


def search(listed: Sequence[Row], words: str) -> list[Row]:
    """Return the rows in whose names or summaries all these words stand."""
    wanted = words.casefold().split()

    def fits(row: Row) -> bool:
        text = " ".join([row.document.label, *(one.summary for one in row.summaries if one)]).casefold()
        return all(word in text for word in wanted)

    return [row for row in listed if fits(row)]


def sort(listed: Sequence[Row], order: Order) -> list[Row]:
    """Return the rows in an order; documents that are equal in it stay in theirs, those without a summary come last."""

    def place(row: Row) -> tuple[bool, float]:
        one = row.first
        if order == "Longest document":
            return False, -row.document.words
        if order == "Document":
            return False, 0
        if one is None:
            return True, 0
        match order:
            case "Longest summary":
                return False, -one.words
            case "Newest summary":
                return False, -one.finished.timestamp()
            case _:
                return False, min(_WORST_FIRST[each.guard.verdict] for each in row.summaries if each)

    return sorted(listed, key=place)
