"""Where the workload stands: one immutable snapshot, replaced as a whole, read by the page and the API."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock
from typing import Any

from summarizer.card import ModelCard
from summarizer.extraction.reasons import Reason
from summarizer.guard import Guarded
from summarizer.text import count_words


class State(StrEnum):
    """The states in the order they are passed; Failed can follow any but Ready, and is left when the cause goes."""

    WAITING_FOR_MODEL = "WaitingForModel"
    WAITING_FOR_KEY = "WaitingForKey"
    MOUNTED = "Mounted"
    SUMMARIZING = "Summarizing"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True)
class DocumentSummary:
    """One guarded summary.

    Attributes:
        document: What stands for the document: its file name, or `Document N`.
        source_words: Words of the document.
        unread: How many of its parts hold no text that is read: scanned pages, attachments.
        guarded: The summary and the guard's verdict.
        name: Its file name, for the owner alone.
        number: Its number among all documents, from 1.
    """

    document: str
    source_words: int
    unread: int
    guarded: Guarded
    name: str = field(default="", repr=False)
    number: int = 0

    @property
    def words(self) -> int:
        """Words of the summary."""
        return count_words(self.guarded.summary)


@dataclass(frozen=True)
class UnreadableDocument:
    """A document without a summary.

    Attributes:
        document: What stands for the document: its file name, or `Document N`.
        reason: Why it cannot be read.
    """

    document: str
    reason: Reason


@dataclass(frozen=True)
class Snapshot:
    """Everything the page and the API show, at one moment.

    Attributes:
        state: The state.
        reason: One sentence for people: why it is in this state, and what has to happen next.
        summaries: Finished summaries, in the order of the documents.
        documents: How many documents can be read; 0 until they are mounted.
        skipped: How many other files were passed over.
        unreadable: The documents that cannot be read, in order.
        version: The version of the documents that their owner signed, if the policy asks for a signature.
        model: The card of the model, once it is loaded.
        model_sha256: SHA-256 of the model's manifest, once it is verified.
        engine: Name of the engine, once it is loaded.
    """

    state: State = State.WAITING_FOR_MODEL
    reason: str = "The model is being loaded."
    summaries: tuple[DocumentSummary, ...] = ()
    documents: int = 0
    skipped: int = 0
    unreadable: tuple[UnreadableDocument, ...] = ()
    version: int | None = None
    model: ModelCard | None = None
    model_sha256: str = ""
    engine: str = ""


class Progress:
    """Holds the current snapshot; any thread may read and change it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._snapshot = Snapshot()

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return self._snapshot

    def update(self, **changes: Any) -> Snapshot:
        """Replace fields of the snapshot, and return the new one."""
        with self._lock:
            self._snapshot = replace(self._snapshot, **changes)
            return self._snapshot
