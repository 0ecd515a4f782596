"""Results on their way to the owners of the documents, for however long their storage takes."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar

from summarizer.errors import OutputError
from summarizer.output import Results
from summarizer.progress import Progress, State

# Half a minute of tries rides out what storage calls transient; then people should know, and it goes on trying.
_TRIES: Final = 4
_LONGEST_PAUSE: Final = 60.0
# A call takes some ten milliseconds of waiting, in which no core summarizes: of what four cores made, all at a time.
_WRITERS: Final = 32

Sleep = Callable[[float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Parcel:
    """One result to write.

    Attributes:
        file_system: Name of the file system that the document lies in.
        content_sha256: What that file system holds.
        number: The document's number in it, from 1, so that another owner's documents change no name of a result.
        body: What the owner gets.
    """

    file_system: str
    content_sha256: str
    number: int
    body: dict[str, Any]


class Delivery:
    """Writes results where their owners want any, and says in `progress` when storage does not answer."""

    def __init__(self, owners: Mapping[str, Results], progress: Progress, sleep: Sleep = time.sleep) -> None:
        self._owners = owners
        self._progress = progress
        self._sleep = sleep

    def finished(self, file_system: str, content_sha256: str, numbers: Sequence[int]) -> frozenset[int]:
        """Return which documents of a file system have a result."""
        if file_system not in self._owners:
            return frozenset()
        return self._insist(lambda: self._owners[file_system].finished(content_sha256, numbers))

    def write(self, parcels: Iterable[Parcel]) -> int:
        """Write results, as many as are wanted, and return how many."""

        def write(one: Parcel) -> None:
            self._insist(lambda: self._owners[one.file_system].write(one.content_sha256, one.number, one.body))

        wanted = [one for one in parcels if one.file_system in self._owners]
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(write, wanted))
        return len(wanted)

    def _insist(self, call: Callable[[], T]) -> T:
        """Ask storage for however long it takes; after some tries it is a failure that can still mend itself."""
        for attempt in count(1):
            try:
                answer = call()
            except OutputError as error:
                if attempt >= _TRIES:
                    self._progress.fail(str(error))
                self._sleep(min(_LONGEST_PAUSE, 2.0**attempt))
            else:
                if attempt > _TRIES:
                    self._progress.enter(State.SUMMARIZING, "Storage answers again.")
                return answer
        raise AssertionError("counting has no end")
