"""The work itself, in one background thread: load the model, wait for the documents, then do what is asked for."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from summarizer import answers
from summarizer.corpus import Corpus
from summarizer.delivery import Delivery, Sleep
from summarizer.documents import Found, read_documents
from summarizer.errors import Cancelled, WorkloadError
from summarizer.guard import Guard, apply_guard
from summarizer.jobs import Jobs, JobState, JobView, Length, Request, Result
from summarizer.long_text import summarize_documents
from summarizer.models import Models, OfferedModel
from summarizer.output import Results
from summarizer.progress import Progress, State
from summarizer.settings import DocumentSet, Settings
from summarizer.shard import ShardCount

# The link appears once, within minutes of the start; looking twice a second costs nothing.
_POLL_SECONDS: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class Worker:
    """Brings `progress` from the start to Ready or Failed, and works on `jobs` from then on."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        jobs: Jobs,
        results: Mapping[str, Results] = MappingProxyType({}),
        sleep: Sleep = time.sleep,
    ) -> None:
        self._settings = settings
        self._delivery = Delivery(results, progress, sleep)
        self._starting, self._began = True, 0.0
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
        self._corpus = Corpus(show_names=settings.show_names)

    def run(self) -> None:
        """Work until the process ends; return only where there are no documents to work on."""
        self.start()
        while self._corpus.texts:
            self.step()

    def start(self) -> None:
        """Summarize everything once; our own errors and unforeseen ones both end in Failed, and none shows any text."""
        try:
            self._wait_for(self._settings.models_directory, State.WAITING_FOR_MODEL, "the models")
            self._progress.enter(State.WAITING_FOR_MODEL, "The models are being verified, and the first is loaded.")
            self._models.start()
            for one in self._settings.reads:
                self._wait_for(one.directory, State.WAITING_FOR_KEY, self._called(one))
            self._progress.enter(State.MOUNTED, "The documents are mounted and being read.")
            self._open([(one.name, self._read(one)) for one in self._settings.reads])
            texts, refusals = self._corpus.texts, self._corpus.refusals()
            self._progress.enter(State.SUMMARIZING, f"Summarizing {len(texts)} documents.")
            self._count(written=self._delivery.write(refusals), refused=len(refusals))
            job = self._jobs.submit("", (Request(n, self._settings.models[0], Length.LONG) for n in texts))
            while self._jobs.view(job.id).state is not JobState.FINISHED:
                self.step()
            self._conclude(self._jobs.view(job.id))
        except WorkloadError as error:
            self._progress.fail(str(error))
        except Exception as error:  # noqa: BLE001  a traceback or message could hold text of a document
            self._progress.fail(_unexpected(error))

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
        documents = [self._corpus.texts[request.document] for request in batch]
        texts = [document.text for document in documents]
        drafts = summarize_documents(self._models.engine(model), texts, most, lambda: self._check(batch))
        seconds = (time.monotonic() - began) / sum(len(text) for text in texts)
        made = []
        for request, document, draft in zip(batch, documents, drafts, strict=True):
            guarded = apply_guard(self._guard(most), draft, document.text, self._corpus.ledger(request.document))
            took = seconds * len(document.text)
            made.append(Result(request, guarded, took, datetime.now(UTC)))
            self._jobs.done(made[-1])
            _LOG.info(
                "summarized",
                extra={
                    "number": request.document,
                    "model": model,
                    "length": length.value,
                    "seconds": round(took, 3),
                    "verdict": guarded.verdict,
                },
            )

        if self._starting:
            self._deliver(made)

    def _check(self, batch: Sequence[Request]) -> None:
        if not self._jobs.wanted(batch):
            raise Cancelled("nobody waits for these documents any more")

    def _guard(self, most: int) -> Guard:
        settings = self._settings
        return Guard(settings.guard, settings.guard_run, most, settings.guard_share, settings.guard_shortest)

    def _called(self, one: DocumentSet) -> str:
        return "the documents" if len(self._settings.documents) == 1 else f"the documents of {one.name}"

    def _read(self, one: DocumentSet) -> Found:
        """Read the documents of a file system; of a shard, those whose results are not there yet."""
        settings, what = self._settings, self._called(one)

        def finished(content_sha256: str, numbers: Sequence[int]) -> frozenset[int]:
            return self._delivery.finished(one.name, content_sha256, numbers) if settings.shards else frozenset()

        def tell(done: int, of: int) -> None:
            self._progress.update(reason=f"Reading {what}: {done} of {of}.")

        return read_documents(one.directory, one.pin, tell, settings.shard, finished, what)

    def _open(self, found: Sequence[tuple[str, Found]]) -> None:
        """Take in what the file systems hold, and tell readers of it."""
        corpus = self._corpus
        for name, one in found:
            corpus.add(name, one)
        self._jobs.open({number: corpus.listed[number].words for number in corpus.texts})
        self._progress.update(
            documents=tuple(corpus.listed.values()),
            skipped=sum(one.others for _, one in found),
            versions={name: one.version for name, one in found if one.version is not None},
        )
        if self._settings.shard is not None:
            finished = sum(one.finished for _, one in found)
            mine = finished + len(corpus.listed)
            self._progress.update(shard=ShardCount(self._settings.shard, corpus.total, mine, finished))
            self._began = time.monotonic()

    def _deliver(self, made: Sequence[Result]) -> None:
        """Write results for their owners as soon as they are made."""
        corpus, parcels = self._corpus, []
        for result in made:
            number = result.request.document
            listed, name = corpus.listed[number], corpus.texts[number].name
            body = answers.result_body(self._progress.snapshot, listed, result, name, self._settings)
            parcels.append(corpus.parcel(number, body))
        self._count(written=self._delivery.write(parcels))

    def _count(self, *, written: int = 0, refused: int = 0, failed: int = 0) -> None:
        known = self._progress.snapshot.shard
        if known is not None:
            counted = replace(
                known,
                written=known.written + written,
                refused=known.refused + refused,
                failed=known.failed + failed,
                seconds=time.monotonic() - self._began,
            )
            self._progress.update(shard=counted)

    def _conclude(self, job: JobView) -> None:
        """Enter Ready, unless there is not one result."""
        self._starting = False
        shard = self._progress.snapshot.shard
        if job.failed and not job.done and not (shard and shard.before):
            self._progress.fail(next(iter(job.failed.values())))
            return
        reason = f"All {job.done} documents are summarized."
        if job.failed:
            reason = f"{job.done} of {len(job.requests)} documents are summarized, {len(job.failed)} failed."
        self._progress.enter(State.READY, reason)

    def _wait_for(self, directory: Path, state: State, what: str) -> None:
        """Wait until `directory` appears; past the deadline this is a failure, but one that can still mend itself."""
        if directory.is_dir():
            return
        self._progress.enter(state, f"Waiting for the sidecar to release the key and mount {what} at {directory}.")
        waited = 0.0
        while not directory.is_dir():
            self._sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            if waited - _POLL_SECONDS < self._settings.deadline <= waited:
                self._progress.fail(
                    f"{directory} did not appear within {self._settings.deadline} s: the key was not released, "
                    "or the file system was not mounted; the sidecar's log says more"
                )

    def _tell_models(self, offered: tuple[OfferedModel, ...]) -> None:
        self._progress.update(models=offered)

    def _give_up(self, batch: Sequence[Request], reason: str) -> None:
        for request in batch:
            self._jobs.failed(request, reason)
        self._count(failed=len(batch))
        _LOG.error("not summarized", extra={"documents": len(batch), "reason": reason})


def _unexpected(error: Exception) -> str:
    return f"an unexpected {type(error).__name__} ended the work: restart the group, and report it if it stays"
