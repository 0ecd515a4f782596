"""What a person sees of work that takes minutes: one line on what is waited for, also while several things go on."""

import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from textwrap import shorten
from threading import Lock
from types import TracebackType
from typing import Self

Report = Callable[[str], None]
"""Called with one line on what is going on; the caller decides how often to show it."""

REPEAT_SECONDS = 10.0
"""How often a step that counts is shown where lines stay."""

FAILURE_WIDTH = 100
"""How much of an error is shown while the others go on; it is raised as a whole when they have ended."""


def now_and_then(report: Report) -> Report:
    """Return a report that passes on each new step, but one that only counts on no more than every few seconds."""
    shown, since = "", 0.0

    def tell(step: str) -> None:
        nonlocal shown, since
        kind = re.sub(r"\d+", "", step)
        if kind != shown or time.monotonic() - since > REPEAT_SECONDS:
            shown, since = kind, time.monotonic()
            report(step)

    return tell


class SideBySide:
    """Runs things side by side; its block ends when all have ended, with the error of the first that failed.

    Args:
        report: Told about each step of any of them, in one line with the present steps of the others.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._threads = ThreadPoolExecutor(thread_name_prefix="side-by-side")
        self._started: list[Future[None]] = []
        self._steps: dict[int, str] = {}
        self._turn = Lock()

    def start(self, work: Callable[[Report], object]) -> None:
        """Begin; the work gets the report to tell its own steps to."""
        self._started.append(self._threads.submit(self._run, len(self._started), work))

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for all, and raise what the first of them raised."""
        self._threads.shutdown()
        for work in self._started if error is None else ():
            work.result()

    def _run(self, number: int, work: Callable[[Report], object]) -> None:
        try:
            work(lambda step: self._tell(number, step))
        except Exception as error:
            # The others go on: what they download or compile is kept for the next try.
            self._tell(number, f"FAILED: {shorten(str(error), FAILURE_WIDTH)}")
            raise
        with self._turn:
            self._steps.pop(number, None)

    def _tell(self, number: int, step: str) -> None:
        with self._turn:
            self._steps[number] = step
            self._report("; ".join(self._steps[each] for each in sorted(self._steps)))
