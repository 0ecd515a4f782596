"""The work itself, in one background thread: load the model, wait for the documents, summarize each."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from summarizer.answers import result_body
from summarizer.card import ModelCard, read_card
from summarizer.content import read_model
from summarizer.documents import Document, read_documents
from summarizer.engine.base import Engine
from summarizer.engine.choice import load_engine
from summarizer.errors import OutputError, WorkloadError
from summarizer.guard import Guard, Ledger, apply_guard, letters_of
from summarizer.long_text import summarize_document
from summarizer.manifest import verify_manifest
from summarizer.output import Results
from summarizer.progress import DocumentSummary, Progress, State, UnreadableDocument
from summarizer.settings import Settings
from summarizer.text import count_words

# The link appears once, within minutes of the start; looking twice a second costs nothing.
_POLL_SECONDS: Final = 0.5
# Half a minute of tries rides out what storage calls transient; then people should know, and it goes on trying.
_TRIES: Final = 4
_LONGEST_PAUSE: Final = 60.0
_LOG: Final = logging.getLogger(__name__)

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class _Model:
    card: ModelCard
    engine: Engine


class Worker:
    """Brings `progress` from the start to Ready or Failed."""

    def __init__(
        self, settings: Settings, progress: Progress, results: Results | None = None, sleep: Sleep = time.sleep
    ) -> None:
        self._settings = settings
        self._results = results
        self._content_sha256 = ""
        self._progress = progress
        self._sleep = sleep
        # By the letters themselves: the same text under two names has one ledger.
        self._ledgers: dict[str, Ledger] = {}

    def run(self) -> None:
        """Do everything, once; our own errors and unforeseen ones both end in Failed, and none shows any text."""
        try:
            self._wait_for(self._settings.model, State.WAITING_FOR_MODEL, "the model")
            model = self._load_model()
            self._wait_for(self._settings.documents, State.WAITING_FOR_KEY, "the documents")
            self._summarize(model)
            self._deliver()
        except WorkloadError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  a traceback or message could hold text of a document
            self._fail(
                f"an unexpected {type(error).__name__} ended the work: restart the group, and report it if it stays"
            )

    def _wait_for(self, directory: Path, state: State, what: str) -> None:
        """Wait until `directory` appears; past the deadline this is a failure, but one that can still mend itself."""
        if directory.is_dir():
            return
        self._enter(state, f"Waiting for the sidecar to release the key and mount {what} at {directory}.")
        waited = 0.0
        while not directory.is_dir():
            self._sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            if waited - _POLL_SECONDS < self._settings.deadline <= waited:
                self._fail(
                    f"{directory} did not appear within {self._settings.deadline} s: the key was not released, "
                    "or the file system was not mounted or has no such folder; the sidecar's log says more"
                )

    def _load_model(self) -> _Model:
        path = self._settings.model
        self._enter(State.WAITING_FOR_MODEL, "The model is being verified and loaded.")
        files = read_model(path, self._settings.models, self._settings.models_sha256)
        digest = verify_manifest(path.name, files)
        card = read_card(path.name, files)
        engine = load_engine(self._settings.engine, files)
        self._progress.update(model=card, model_sha256=digest, engine=engine.name)
        _LOG.info("model loaded", extra={"engine": engine.name, "model": card.name, "manifest": digest})
        return _Model(card, engine)

    def _summarize(self, model: _Model) -> None:
        self._enter(State.MOUNTED, "The documents are mounted and being read.")
        found = read_documents(self._settings.documents, self._settings.documents_pin, self._tell_reading)
        documents = found.readable
        total = len(documents)
        self._content_sha256 = found.sha256
        self._progress.update(
            documents=total,
            skipped=found.others,
            unreadable=tuple(
                UnreadableDocument(self._label(document), document.reason)
                for document in found.documents
                if document.reason is not None
            ),
            version=found.version,
            summaries=(),
        )
        self._enter(State.SUMMARIZING, f"Summarizing {total} documents.")
        guard = Guard(
            self._settings.guard,
            self._settings.guard_run,
            self._settings.max_words,
            self._settings.guard_share,
            self._settings.guard_shortest,
        )
        for document in documents:
            began = time.monotonic()
            done = self._one(model.engine, guard, document)
            snapshot = self._progress.snapshot
            self._progress.update(summaries=(*snapshot.summaries, done))
            seconds = round(time.monotonic() - began, 3)
            _LOG.info(
                "summarized",
                extra={"number": document.number, "of": total, "seconds": seconds, "verdict": done.guarded.verdict},
            )

    def _deliver(self) -> None:
        """Enter Ready; before that, write the results for the owner if they are to have them."""
        snapshot = self._progress.snapshot
        if self._results is not None:
            for done in snapshot.summaries:
                self._write(self._results, done.number, result_body(snapshot, done, self._settings))
        self._enter(State.READY, f"All {snapshot.documents} documents are summarized.")

    def _write(self, results: Results, number: int, result: dict[str, Any]) -> None:
        """Write one result, however long it takes; after some tries it is a failure that can still mend itself."""
        for attempt in count(1):
            try:
                return results.write(self._content_sha256, number, result)
            except OutputError as error:
                if attempt >= _TRIES:
                    self._fail(str(error))
                self._sleep(min(_LONGEST_PAUSE, 2.0**attempt))
        return None

    def _tell_reading(self, done: int, of: int) -> None:
        self._progress.update(reason=f"Reading the documents: {done} of {of}.")

    def _label(self, document: Document) -> str:
        return document.name if self._settings.show_names else f"Document {document.number}"

    def _one(self, engine: Engine, guard: Guard, document: Document) -> DocumentSummary:
        draft = summarize_document(engine, document.text, guard.max_words)
        letters = letters_of(document.text)
        ledger = self._ledgers.setdefault(letters, Ledger(letters))
        guarded = apply_guard(guard, draft, document.text, ledger)
        return DocumentSummary(
            document=self._label(document),
            source_words=count_words(document.text),
            unread=document.unread,
            guarded=guarded,
            name=document.name,
            number=document.number,
        )

    def _enter(self, state: State, reason: str) -> None:
        self._progress.update(state=state, reason=reason)
        _LOG.info("state", extra={"state": state.value})

    def _fail(self, reason: str) -> None:
        self._progress.update(state=State.FAILED, reason=reason)
        _LOG.error("state", extra={"state": State.FAILED.value, "reason": reason})
