"""What readers ask for: one queue for page and API, fair between jobs, each summary made once for all who ask.

A request is a document, a model and a length; the same request always has the same answer, so results are shared. A
job is what somebody asked for at once. Several jobs take turns, a batch each, so that one document asked for now
does not wait for a thousand.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import accumulate, islice
from threading import Condition
from typing import Final

from summarizer.cores import available_cores
from summarizer.errors import Busy, NotYours, UnknownJob
from summarizer.guard import Guarded
from summarizer.text import count_words

# A reader who asks for everything in every model and length has one job; ten are enough for any page.
_UNFINISHED_FOR_EACH: Final = 10
_UNFINISHED: Final = 100
# Finished ones are kept for those who ask later; the results stay anyway.
_KEPT: Final = 500
# And no more than what they asked for together: each costs the group memory, and whoever looks at all of them time.
_KEPT_REQUESTS: Final = 100_000
# Documents of a batch for each core, and their words: enough to keep it busy, little enough to take turns in seconds.
_BATCH: Final = 8
_BATCH_WORDS: Final = 4000


class Length(StrEnum):
    """How long a summary may be, as a part of what the policy allows."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"

    def words(self, most: int) -> int:
        """Return the most words of a summary of this length, where the policy allows `most`."""
        parts = {Length.SHORT: 3, Length.MEDIUM: 6, Length.LONG: 10}
        return max(10, most * parts[self] // 10)


@dataclass(frozen=True)
class Request:
    """One summary that somebody wants: document by number, model by name, length."""

    document: int
    model: str
    length: Length


@dataclass(frozen=True)
class Result:
    """One guarded summary.

    Attributes:
        request: What it answers.
        guarded: The summary and the guard's verdict.
        seconds: How long it took; shared by the documents of a batch in proportion to their words.
        finished: When.
    """

    request: Request
    guarded: Guarded
    seconds: float
    finished: datetime

    @property
    def words(self) -> int:
        """Words of the summary."""
        return count_words(self.guarded.summary)


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "Waiting"
    RUNNING = "Running"
    FINISHED = "Finished"
    CANCELLED = "Cancelled"


@dataclass(frozen=True)
class JobView:
    """A job at one moment.

    Attributes:
        id: Names it; nobody can guess it.
        state: Where it stands.
        requests: What was asked for, in the order of the work.
        done: How many of them have a result.
        failed: Why others have none, by request.
        created: When it was asked for.
        owner: Who asked; empty for the summarizer itself.
    """

    id: str
    state: JobState
    requests: tuple[Request, ...]
    done: int
    failed: dict[Request, str]
    created: datetime
    owner: str


@dataclass
class _Job:
    id: str
    owner: str
    requests: tuple[Request, ...]
    created: datetime
    cancelled: bool = False
    begun: bool = False
    left: OrderedDict[Request, None] = field(default_factory=OrderedDict)
    failed: dict[Request, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.cancelled or not self.left


class Jobs:
    """The queue and the results; any thread may ask, one thread works."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC), cores: int | None = None) -> None:
        self._now = now
        self._cores = cores or available_cores()
        self._changed = Condition()
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._turns: list[_Job] = []
        self._results: dict[Request, Result] = {}
        self._words: dict[int, int] = {}

    def open(self, words: dict[int, int]) -> None:
        """Say which documents there are: their words, by number."""
        self._words = words

    @property
    def results(self) -> dict[Request, Result]:
        """All summaries so far."""
        with self._changed:
            return dict(self._results)

    @property
    def awaited(self) -> frozenset[Request]:
        """What is asked for and not there yet."""
        with self._changed:
            return frozenset(request for job in self._turns for request in job.left)

    def submit(self, owner: str, requests: Iterable[Request]) -> JobView:
        """Ask for summaries, short documents first.

        Args:
            owner: Who asks; limits hold for each. Empty for the summarizer itself.
            requests: Documents that are there, and offered models.

        Raises:
            Busy: This reader, or all together, have too many unfinished jobs.
        """
        wanted = sorted(set(requests), key=lambda one: (self._words[one.document], one.document, one.model, one.length))
        with self._changed:
            unfinished = [job for job in self._jobs.values() if not job.finished]
            if owner and sum(job.owner == owner for job in unfinished) >= _UNFINISHED_FOR_EACH:
                raise Busy("you have 10 unfinished jobs: wait for one, or cancel one")
            if owner and len(unfinished) >= _UNFINISHED:
                raise Busy("the summarizer has too many unfinished jobs: ask again in a minute")
            job = _Job(secrets.token_urlsafe(9), owner, tuple(wanted), self._now())
            job.left = OrderedDict.fromkeys(one for one in wanted if one not in self._results)
            self._jobs[job.id] = job
            if job.left:
                self._turns.append(job)
            self._forget()
            self._changed.notify_all()
            return self._view(job)

    def view(self, job_id: str) -> JobView:
        """Return a job.

        Raises:
            UnknownJob: There is none with this id, or no more.
        """
        with self._changed:
            return self._view(self._job(job_id))

    def views(self) -> list[JobView]:
        """Return all jobs of readers, the newest first."""
        with self._changed:
            return [self._view(job) for job in reversed(self._jobs.values()) if job.owner]

    def cancel(self, owner: str, job_id: str) -> JobView:
        """End a job: what has a summary keeps it, nothing more is begun for it.

        Raises:
            UnknownJob: There is none with this id.
            NotYours: Somebody else asked for it, or the summarizer itself.
        """
        with self._changed:
            job = self._job(job_id)
            if job.owner != owner:
                raise NotYours("this job can be cancelled only from the address that asked for it")
            if not job.finished:
                job.cancelled = True
                job.left.clear()
                self._turns.remove(job)
                self._changed.notify_all()
            return self._view(job)

    def take(self) -> tuple[Request, ...]:
        """Return what to work on next: of the job whose turn it is, one model and one length; blocks until there is."""
        with self._changed:
            self._changed.wait_for(lambda: self._turns)
            job = self._turns.pop(0)
            self._turns.append(job)
            first = next(iter(job.left))
            batch, words = [first], self._words[first.document]
            # The first of a job alone: somebody waits for it.
            for request in islice(job.left, 1, _BATCH * self._cores) if job.begun else ():
                same = (request.model, request.length) == (first.model, first.length)
                if same and words + self._words[request.document] <= _BATCH_WORDS * self._cores:
                    batch.append(request)
                    words += self._words[request.document]
            job.begun = True
            return tuple(batch)

    def wanted(self, batch: Sequence[Request]) -> bool:
        """Tell whether somebody still waits for any of a batch."""
        with self._changed:
            return any(request in job.left for job in self._turns for request in batch)

    def done(self, result: Result) -> None:
        """Keep a result, for whoever asked and will ask."""
        with self._changed:
            self._results[result.request] = result
            self._settle(result.request)

    def failed(self, request: Request, reason: str) -> None:
        """Tell those who wait why there is none; who asks again gets another try."""
        with self._changed:
            for job in self._turns:
                if request in job.left:
                    job.failed[request] = reason
            self._settle(request)

    def _settle(self, request: Request) -> None:
        for job in self._turns:
            job.left.pop(request, None)
        self._turns = [job for job in self._turns if job.left]
        self._changed.notify_all()

    def _job(self, job_id: str) -> _Job:
        if job_id not in self._jobs:
            raise UnknownJob("there is no such job, or no more: ask for the summaries instead")
        return self._jobs[job_id]

    def _view(self, job: _Job) -> JobView:
        if job.cancelled:
            state = JobState.CANCELLED
        elif job.finished:
            state = JobState.FINISHED
        else:
            state = JobState.RUNNING if job.begun else JobState.WAITING
        done = sum(request in self._results for request in job.requests)
        return JobView(job.id, state, job.requests, done, dict(job.failed), job.created, job.owner)

    def _forget(self) -> None:
        finished = [job for job in reversed(self._jobs.values()) if job.finished and job.owner]
        sizes = accumulate(len(job.requests) for job in finished)
        for place, (job, size) in enumerate(zip(finished, sizes, strict=True)):
            # Never the newest: who asked for it has not seen it yet.
            if place and (place >= _KEPT or size > _KEPT_REQUESTS):
                del self._jobs[job.id]
