"""Where the workload stands: one immutable snapshot, replaced as a whole, read by the page and the API."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock
from typing import Any, Final

from summarizer.extraction.reasons import Reason
from summarizer.models import OfferedModel
from summarizer.shard import ShardCount

_LOG: Final = logging.getLogger(__name__)


class State(StrEnum):
    """The states in the order they are passed; Failed can follow any but Ready, and is left when the cause goes."""

    WAITING_FOR_MODEL = "WaitingForModel"
    WAITING_FOR_KEY = "WaitingForKey"
    MOUNTED = "Mounted"
    SUMMARIZING = "Summarizing"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True)
class ListedDocument:
    """What readers are told of a document.

    Attributes:
        number: Its number among those of all file systems, from 1.
        label: What stands for it: its file name, or `Document N`.
        kind: The ending of its name, without the dot.
        words: Its words; 0 if it cannot be read.
        unread: How many of its parts hold no text that is read: scanned pages, attachments.
        reason: Why it cannot be read, or None.
        file_system: Name of the file system that it lies in.
    """

    number: int
    label: str
    kind: str
    words: int
    unread: int = 0
    reason: Reason | None = None
    file_system: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Everything the page and the API show beside the summaries, at one moment.

    Attributes:
        state: The state.
        reason: One sentence for people: why it is in this state, and what has to happen next.
        documents: The documents; none until they are mounted.
        skipped: How many other files were passed over.
        versions: The version that its owner signed, by file system; only of those whose policy asks for a signature.
        models: The models that are offered, the default first; none until they are verified.
        shard: How far the shard is, in a batch.
    """

    state: State = State.WAITING_FOR_MODEL
    reason: str = "The model is being loaded."
    documents: tuple[ListedDocument, ...] = ()
    skipped: int = 0
    versions: Mapping[str, int] = field(default_factory=dict)
    models: tuple[OfferedModel, ...] = ()
    shard: ShardCount | None = None

    @property
    def readable(self) -> tuple[ListedDocument, ...]:
        """The documents that can be summarized."""
        return tuple(document for document in self.documents if document.reason is None)

    @property
    def file_systems(self) -> tuple[str, ...]:
        """The names of the file systems that the documents lie in, in the order of their numbers."""
        return tuple(dict.fromkeys(document.file_system for document in self.documents))


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

    def enter(self, state: State, reason: str) -> None:
        """Go to a state, and log that."""
        self.update(state=state, reason=reason)
        _LOG.info("state", extra={"state": state.value})

    def fail(self, reason: str) -> None:
        """Go to Failed, which is left again when the cause goes."""
        self.update(state=State.FAILED, reason=reason)
        _LOG.error("state", extra={"state": State.FAILED.value, "reason": reason})
