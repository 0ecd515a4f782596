"""The work itself, in one background thread: load the model, wait for the documents, then do what is asked for."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path, PurePath
from typing import Any, Final

from summarizer import answers
from summarizer.documents import Document, Found, read_documents
from summarizer.errors import Cancelled, OutputError, WorkloadError
from summarizer.guard import Guard, Ledger, apply_guard, letters_of
from summarizer.jobs import Jobs, JobState, JobView, Length, Request, Result
from summarizer.long_text import summarize_documents
from summarizer.models import Models, OfferedModel
from summarizer.output import Results
from summarizer.progress import ListedDocument, Progress, State
from summarizer.settings import Settings
from summarizer.text import count_words

# The link appears once, within minutes of the start; looking twice a second costs nothing.
_POLL_SECONDS: Final = 0.5
# Half a minute of tries rides out what storage calls transient; then people should know, and it goes on trying.
_TRIES: Final = 4
_LONGEST_PAUSE: Final = 60.0
_LOG: Final = logging.getLogger(__name__)

Sleep = Callable[[float], None]


class Worker:
    """Brings `progress` from the start to Ready or Failed, and works on `jobs` from then on."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        jobs: Jobs,
        results: Results | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        self._settings = settings
        self._results = results
        self._content_sha256 = ""
        self._progress = progress
        self._jobs = jobs
        self._sleep = sleep
        self._models = Models(
            settings.models_directory,
            settings.models,
            settings.models_sha256,
            settings.engine,
            report=self._tell_models,
        )
        self._documents: dict[int, Document] = {}
        # By the letters themselves: the same text under two names has one ledger, whoever asks in whatever way.
        self._ledgers: dict[str, Ledger] = {}
        self._ledger_of: dict[int, Ledger] = {}

    def run(self) -> None:
        """Work until the process ends; return only where there are no documents to work on."""
        self.start()
        while self._documents:
            self.step()

    def start(self) -> None:
        """Summarize everything once; our own errors and unforeseen ones both end in Failed, and none shows any text."""
        try:
            self._wait_for(self._settings.models_directory, State.WAITING_FOR_MODEL, "the models")
            self._enter(State.WAITING_FOR_MODEL, "The models are being verified, and the first is loaded.")
            self._models.start()
            self._wait_for(self._settings.documents, State.WAITING_FOR_KEY, "the documents")
            self._enter(State.MOUNTED, "The documents are mounted and being read.")
            self._list(read_documents(self._settings.documents, self._settings.documents_pin, self._tell_reading))
            self._enter(State.SUMMARIZING, f"Summarizing {len(self._documents)} documents.")
            job = self._jobs.submit("", (Request(n, self._settings.models[0], Length.LONG) for n in self._documents))
            while self._jobs.view(job.id).state is not JobState.FINISHED:
                self.step()
            self._deliver(self._jobs.view(job.id))
        except WorkloadError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  a traceback or message could hold text of a document
            self._fail(_unexpected(error))

    def step(self) -> None:
        """Take the next batch and finish it; blocks until there is one."""
        batch = self._jobs.take()
        try:
            self._summarize(batch)
        except Cancelled:
            _LOG.info("cancelled", extra={"documents": len(batch)})
        except WorkloadError as error:
            self._give_up(batch, str(error))
        except Exception as error:  # noqa: BLE001  as above
            if len(batch) == 1:
                self._give_up(batch, _unexpected(error))
                return
            # One of them made it fail: the others are not to blame.
            for request in batch:
                self._alone(request)

    def _alone(self, request: Request) -> None:
        try:
            self._summarize([request])
        except Exception as error:  # noqa: BLE001  as above
            self._give_up([request], str(error) if isinstance(error, WorkloadError) else _unexpected(error))

    def _summarize(self, batch: Sequence[Request]) -> None:
        began = time.monotonic()
        model, length = batch[0].model, batch[0].length
        most = length.words(self._settings.max_words)
        documents = [self._documents[request.document] for request in batch]
        texts = [document.text for document in documents]
        drafts = summarize_documents(self._models.engine(model), texts, most, lambda: self._check(batch))
        seconds = (time.monotonic() - began) / sum(len(text) for text in texts)
        for request, document, draft in zip(batch, documents, drafts, strict=True):
            guarded = apply_guard(self._guard(most), draft, document.text, self._ledger(document))
            took = seconds * len(document.text)
            self._jobs.done(Result(request, guarded, took, datetime.now(UTC)))
            _LOG.info(
                "summarized",
                extra={
                    "number": document.number,
                    "model": model,
                    "length": length.value,
                    "seconds": round(took, 3),
                    "verdict": guarded.verdict,
                },
            )

    def _check(self, batch: Sequence[Request]) -> None:
        if not self._jobs.wanted(batch):
            raise Cancelled("nobody waits for these documents any more")

    def _guard(self, most: int) -> Guard:
        settings = self._settings
        return Guard(settings.guard, settings.guard_run, most, settings.guard_share, settings.guard_shortest)

    def _ledger(self, document: Document) -> Ledger:
        if document.number not in self._ledger_of:
            letters = letters_of(document.text)
            self._ledger_of[document.number] = self._ledgers.setdefault(letters, Ledger(letters))
        return self._ledger_of[document.number]

    def _list(self, found: Found) -> None:
        listed = tuple(
            ListedDocument(
                document.number,
                document.name if self._settings.show_names else f"Document {document.number}",
                PurePath(document.name).suffix.lower().removeprefix("."),
                count_words(document.text),
                document.unread,
                document.reason,
            )
            for document in found.documents
        )
        self._content_sha256 = found.sha256
        self._documents = {document.number: document for document in found.readable}
        self._jobs.open({document.number: document.words for document in listed if document.reason is None})
        self._progress.update(documents=listed, skipped=found.others, version=found.version)

    def _deliver(self, job: JobView) -> None:
        """Enter Ready; before that, write the results for the owner if they are to have them."""
        if job.failed and not job.done:
            self._fail(next(iter(job.failed.values())))
            return
        if self._results is not None:
            made = self._jobs.results
            for result in (made[request] for request in job.requests if request in made):
                number = result.request.document
                name = self._documents[number].name
                body = answers.result_body(self._progress.snapshot, result, name, self._settings)
                self._write(self._results, number, body)
        reason = f"All {job.done} documents are summarized."
        if job.failed:
            reason = f"{job.done} of {len(job.requests)} documents are summarized, {len(job.failed)} failed."
        self._enter(State.READY, reason)

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
                    "or the file system was not mounted; the sidecar's log says more"
                )

    def _tell_models(self, offered: tuple[OfferedModel, ...]) -> None:
        self._progress.update(models=offered)

    def _tell_reading(self, done: int, of: int) -> None:
        self._progress.update(reason=f"Reading the documents: {done} of {of}.")

    def _give_up(self, batch: Sequence[Request], reason: str) -> None:
        for request in batch:
            self._jobs.failed(request, reason)
        _LOG.error("not summarized", extra={"documents": len(batch), "reason": reason})

    def _enter(self, state: State, reason: str) -> None:
        self._progress.update(state=state, reason=reason)
        _LOG.info("state", extra={"state": state.value})

    def _fail(self, reason: str) -> None:
        self._progress.update(state=State.FAILED, reason=reason)
        _LOG.error("state", extra={"state": State.FAILED.value, "reason": reason})


def _unexpected(error: Exception) -> str:
    return f"an unexpected {type(error).__name__} ended the work: restart the group, and report it if it stays"
