"""What the probes say."""

import time

from confidential_summarizer.health import STUCK_SECONDS, Health, Stage
from confidential_summarizer.reconcile.loops import Loop, Loops


class Told(Loops):
    """Loops that were told of some resources, without working on any."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.busy: list[Loop] = []

    def __iter__(self):
        return iter(self.busy)

    def knows(self, metadata):
        return metadata["name"] in self.names


def listed(*names: str) -> list[dict[str, dict[str, str]]]:
    return [{"metadata": {"namespace": "ns", "name": name}} for name in names]


def test_it_is_ready_once_the_watch_has_told_of_everything_that_there_is() -> None:
    health = Health(Stage.WATCHING, Told())
    health.heard(listed("a"))
    assert not health.ready
    health.loops = Told("a")
    health.heard(listed("a"))
    assert health.ready


def test_a_watch_that_keeps_quiet_twice_makes_it_unready_and_asks_for_a_restart() -> None:
    health = Health(Stage.LEADING, Told("a"))
    health.heard(listed("a", "b"))
    assert health.ready  # it may just have come
    health.heard(listed("a", "b"))
    assert not health.ready
    assert health.complaint() == "the watch is deaf: it does not tell of ns/b"
    health.loops = Told("a", "b")
    health.heard(listed("a", "b"))
    assert health.ready
    assert health.complaint() == ""


def test_a_standby_is_ready_and_one_without_its_kind_is_not() -> None:
    assert Health(Stage.STANDBY).ready
    assert not Health(Stage.WAITING_FOR_CRD).ready
    assert not Health(Stage.STARTING).ready


def test_a_look_that_never_ends_asks_for_a_restart() -> None:
    loops = Told("a")
    loops.busy = [Loop(busy_since=time.monotonic() - STUCK_SECONDS - 1)]
    assert "1 resources have been worked on" in Health(Stage.LEADING, loops).complaint()
