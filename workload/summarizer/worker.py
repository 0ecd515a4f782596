"""The work itself, in one background thread: load the model, wait for the documents, summarize each."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from summarizer.answers import summaries_body
from summarizer.card import ModelCard, read_card
from summarizer.content import read_model
from summarizer.documents import Document, read_documents
from summarizer.engine.base import Engine
from summarizer.engine.choice import load_engine
from summarizer.errors import WorkloadError
from summarizer.guard import Guard, Ledger, apply_guard, letters_of
from summarizer.long_text import summarize_document
from summarizer.manifest import verify_manifest
from summarizer.output import write_output
from summarizer.progress import DocumentSummary, Progress, State, UnreadableDocument
from summarizer.settings import Settings
from summarizer.text import count_words

# The link appears once, within minutes of the start; looking twice a second costs nothing.
_POLL_SECONDS: Final = 0.5
_LOG: Final = logging.getLogger(__name__)

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class _Model:
    card: ModelCard
    engine: Engine


class Worker:
    """Brings `progress` from the start to Ready or Failed."""

    def __init__(self, settings: Settings, progress: Progress, sleep: Sleep = time.sleep) -> None:
        self._settings = settings
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
        count = len(documents)
        self._progress.update(
            documents=count,
            skipped=found.others,
            unreadable=tuple(
                UnreadableDocument(self._label(document), document.reason)
                for document in found.documents
                if document.reason is not None
            ),
            version=found.version,
            summaries=(),
        )
        self._enter(State.SUMMARIZING, f"Summarizing {count} documents.")
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
                extra={"number": document.number, "of": count, "seconds": seconds, "verdict": done.guarded.verdict},
            )

    def _deliver(self) -> None:
        """Enter Ready; before that, hand the summaries to the output file system if there is one."""
        output = self._settings.output
        if output is not None:
            self._wait_for(output, State.SUMMARIZING, "the output file system")
        ready = replace(
            self._progress.snapshot,
            state=State.READY,
            reason=f"All {self._progress.snapshot.documents} documents are summarized.",
        )
        if output is not None:
            write_output(output, summaries_body(ready, self._settings))
        self._enter(ready.state, ready.reason)

    def _tell_reading(self, done: int, of: int) -> None:
        self._progress.update(reason=f"Reading the documents: {done} of {of}.")

    def _label(self, document: Document) -> str:
        return document.name if self._settings.show_names else f"Document {document.number}"

    def _one(self, engine: Engine, guard: Guard, document: Document) -> DocumentSummary:
        draft = summarize_document(engine, document.text, guard.max_words)
        letters = letters_of(document.text)
        ledger = self._ledgers.setdefault(letters, Ledger(letters))
        guarded = apply_guard(guard, draft, document.text, ledger)
        return DocumentSummary(self._label(document), count_words(document.text), document.unread, guarded)

    def _enter(self, state: State, reason: str) -> None:
        self._progress.update(state=state, reason=reason)
        _LOG.info("state", extra={"state": state.value})

    def _fail(self, reason: str) -> None:
        self._progress.update(state=State.FAILED, reason=reason)
        _LOG.error("state", extra={"state": State.FAILED.value, "reason": reason})
