"""One task for each resource: what rings it, what does not, and that nobody waits for anybody else."""

import asyncio
import gc
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from confidential_summarizer.errors import TransientError
from confidential_summarizer.reconcile import loops as module
from confidential_summarizer.reconcile.loops import CONCURRENT, Loops
from confidential_summarizer.reconcile.run import Result, Visit


class Visited:
    """Counts looks; some never end, as those at a service that does not answer."""

    def __init__(self) -> None:
        self.looks: Counter[str] = Counter()
        self.hanging: set[str] = set()
        self.result = Visit(Result.DONE, wait=3600.0)
        self.error: Exception | None = None
        self.work = 0.0
        self.at_once: set[str] = set()
        self.most = 0

    async def visit(self, namespace: str, name: str, changed: asyncio.Event) -> Visit:
        self.looks[name] += 1
        if name in self.hanging:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.at_once.add(name)
        self.most = max(self.most, len(self.at_once))
        for _ in range(4 if self.work else 0):
            time.sleep(self.work)  # noqa: ASYNC251 - it computes, and nobody else gets on meanwhile
            await asyncio.sleep(0)
        self.at_once.remove(name)
        return self.result


@pytest.fixture
def visited() -> Visited:
    return Visited()


@pytest.fixture
async def loops(visited: Visited, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Loops]:
    monkeypatch.setattr(module, "FLOOR_SECONDS", 0.01)
    monkeypatch.setattr(module, "TURN_SECONDS", 0.1)
    tasks = Loops(visited, lambda *_: None)  # type: ignore[arg-type]
    yield tasks
    await tasks.close()


def meta(name: str = "a", *, generation: int = 1, deleting: bool = False, **annotations: str) -> dict[str, Any]:
    known = {f"confidential.summarizer.dev/{key}": value for key, value in annotations.items()}
    going = {"deletionTimestamp": "2026-11-24T12:00:00Z"} if deleting else {}
    return {"namespace": "ns", "name": name, "uid": name, "generation": generation, "annotations": known, **going}


async def at_least(visited: Visited, name: str, count: int) -> None:
    async with asyncio.timeout(5):
        while visited.looks[name] < count:  # noqa: ASYNC110 - the loops tell nobody
            await asyncio.sleep(0.005)


async def looks(visited: Visited, name: str, count: int) -> None:
    """Wait until a resource was looked at so often; no more looks may follow."""
    await at_least(visited, name, count)
    await asyncio.sleep(0.1)
    assert visited.looks[name] == count


async def test_a_status_that_changed_is_no_reason_to_look_again(loops: Loops, visited: Visited) -> None:
    loops.see(meta())
    await looks(visited, "a", 1)
    loops.see({**meta(), "resourceVersion": "2", "managedFields": [{}]})
    await looks(visited, "a", 1)


@pytest.mark.parametrize("change", [{"generation": 2}, {"deleting": True}, {"reconcile": "now"}, {"pause": "true"}])
async def test_what_people_change_is_looked_at_at_once(loops: Loops, visited: Visited, change: dict[str, Any]) -> None:
    loops.see(meta())
    await looks(visited, "a", 1)
    loops.see(meta(**change))
    await looks(visited, "a", 2)


async def test_what_happens_to_a_deployed_object_rings_its_own_resource_only(loops: Loops, visited: Visited) -> None:
    for name in ("a", "b"):
        loops.see(meta(name))
    await looks(visited, "b", 1)
    loops.ring("ns", "a")
    loops.ring("ns", "unknown")
    await looks(visited, "a", 2)
    assert visited.looks == {"a": 2, "b": 1}


async def test_a_loop_keeps_nothing_of_whoever_told_it(loops: Loops, visited: Visited) -> None:
    class Told:
        """What Kopf holds in the context of its handlers: the object with its status and all who ever wrote it."""

    context: ContextVar[Told] = ContextVar("context")

    async def handler() -> weakref.ref[Told]:
        context.set(Told())
        loops.see(meta())
        return weakref.ref(context.get())

    told = await asyncio.create_task(handler())
    await looks(visited, "a", 1)
    gc.collect()
    assert told() is None


async def test_deletions_that_hang_stop_nobody_else(loops: Loops, visited: Visited) -> None:
    stuck = [f"stuck-{i}" for i in range(3 * CONCURRENT)]
    visited.hanging.update(stuck)
    for name in stuck:
        loops.see(meta(name, deleting=True))
    await asyncio.sleep(0)
    loops.see(meta("new"))
    await looks(visited, "new", 1)


async def test_a_thousand_resources_are_all_looked_at_and_so_many_at_once_at_most(
    loops: Loops, visited: Visited
) -> None:
    names = [f"r{i}" for i in range(1000)]
    for name in names:
        loops.see(meta(name))
    await looks(visited, "r999", 1)
    assert visited.looks == dict.fromkeys(names, 1)


async def test_a_process_with_too_much_to_do_of_its_own_begins_no_more(
    loops: Loops, visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.03)
    monkeypatch.setattr(module, "LATE_SECONDS", 0.01)
    visited.work = 0.003
    names = [f"r{i}" for i in range(3 * CONCURRENT)]
    for name in names:
        loops.see(meta(name))
    for name in names:
        await at_least(visited, name, 1)
    assert visited.most <= CONCURRENT


async def test_a_resource_that_is_gone_has_no_task_and_one_made_again_has(loops: Loops, visited: Visited) -> None:
    visited.result = Visit(Result.GONE)
    loops.see(meta())
    await looks(visited, "a", 1)
    assert list(loops) == []
    visited.result = Visit(Result.DONE, wait=3600.0)
    loops.see({**meta(), "uid": "another"})
    await looks(visited, "a", 2)
    assert len(list(loops)) == 1


async def test_neither_an_error_nor_a_bug_ends_a_loop(
    loops: Loops, visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.01, 0.02))
    for error in (TransientError("the API server is away"), ZeroDivisionError()):
        visited.error = error
        visited.looks.clear()
        loops.see(meta())
        loops.ring("ns", "a")
        await at_least(visited, "a", 3)


async def test_a_loop_goes_on_however_often_it_has_failed(
    loops: Loops, visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLOOR_SECONDS", 0.0)
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0, 0.0))
    visited.error = TransientError("the API server is away for days")
    loops.see(meta())
    await at_least(visited, "a", 1100)


async def test_closing_ends_work_at_once(loops: Loops, visited: Visited) -> None:
    visited.hanging.add("a")
    loops.see(meta())
    await looks(visited, "a", 1)
    async with asyncio.timeout(1):
        await loops.close()
