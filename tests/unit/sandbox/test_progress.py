from threading import Barrier, Event

import pytest

from azure_sandbox import progress
from azure_sandbox.progress import SideBySide, now_and_then
from confidential_summarizer.errors import TransientError


def test_a_step_that_only_counts_is_shown_once_and_again_after_a_while(monkeypatch):
    shown = []
    tell = now_and_then(shown.append)
    for step in ("compiling, 1 of 9", "compiling, 2 of 9", "linking"):
        tell(step)
    assert shown == ["compiling, 1 of 9", "linking"]
    monkeypatch.setattr(progress, "REPEAT_SECONDS", -1.0)
    tell("linking")
    assert shown[2:] == ["linking"]


def test_one_line_names_all_that_is_waited_for_and_nothing_that_has_ended():
    lines, first_is_done = [], Event()

    def compiling(report):
        report("compiling")
        both.wait()
        both.wait()

    def downloading(report):
        both.wait()
        report("downloading")
        first_is_done.set()
        both.wait()

    both = Barrier(2)
    with SideBySide(lines.append) as parts:
        parts.start(compiling)
        parts.start(downloading)
        first_is_done.wait()
    assert lines == ["compiling", "compiling; downloading"]
    with SideBySide(lines.append) as parts:
        parts.start(lambda report: report("alone"))
    assert lines[-1] == "alone"


def test_what_failed_is_named_at_once_and_raised_when_the_others_have_ended():
    lines, failure_is_shown, ended = [], Event(), []

    def show(line):
        lines.append(line)
        if "FAILED" in line:
            failure_is_shown.set()

    def fails(_):
        raise TransientError("no network\nat all")

    def goes_on(_):
        failure_is_shown.wait()
        ended.append(True)

    parts = SideBySide(show)
    parts.start(fails)
    parts.start(goes_on)
    with pytest.raises(TransientError, match="no network"), parts:
        pass
    assert lines == ["FAILED: no network at all"]
    assert ended
