"""Two processes and one lease: at any moment one of them works at most."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from confidential_summarizer.errors import Conflict, TransientError
from confidential_summarizer.kube import lease as module
from confidential_summarizer.kube.api import Kind
from confidential_summarizer.kube.lease import Lease
from tests.support.fakes import FakeKube


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("DURATION_SECONDS", 1.0), ("DEADLINE_SECONDS", 0.4), ("RETRY_SECONDS", 0.05)):
        monkeypatch.setattr(module, name, seconds)


class Server(FakeKube):
    """An API server that counts versions, and can be away for one of its clients, silently or not, or answer late."""

    away: str = ""
    silent: bool = False
    late: float = 0.0

    def client(self, name: str) -> Any:
        return Client(self, name)

    def holds(self, **spec: Any) -> dict[str, Any]:
        """Put a lease there, and return it."""
        metadata = {"name": "csum", "namespace": "system", "resourceVersion": 1}
        self.put({"kind": "Lease", "metadata": metadata, "spec": spec})
        return self.objects["Lease", "system", "csum"]

    @property
    def spec(self) -> dict[str, Any]:
        return dict(self.objects["Lease", "system", "csum"]["spec"])


class Client:
    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    async def get(self, *arguments: Any) -> Any:
        await self._reach()
        return await self.server.get(*arguments)

    async def create(self, manifest: Any) -> Any:
        await self._reach()
        created = await self.server.create(manifest)
        await asyncio.sleep(self.server.late)
        return created

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Any) -> Any:
        await self._reach()
        known = self.server.objects[kind.kind, namespace, name]
        if patch["metadata"]["resourceVersion"] != known["metadata"].get("resourceVersion"):
            raise Conflict("the lease was written meanwhile")
        patch["metadata"]["resourceVersion"] = len(self.server.writes) + 2
        merged = await self.server.merge(kind, namespace, name, patch)
        await asyncio.sleep(self.server.late)
        return merged

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.server.away == self.name:
            if self.server.silent:
                await asyncio.sleep(60)
            raise TransientError("the API server cannot be reached")


def lease(server: Server, name: str) -> Lease:
    return Lease(server.client(name), "system", "csum", name)


async def test_the_second_stands_by_while_the_first_renews_and_follows_at_once_when_it_stops() -> None:
    server, stop = Server(), asyncio.Event()
    first, second = lease(server, "first"), lease(server, "second")
    led = asyncio.Event()

    async def lead(one: Lease) -> None:
        async with one.held():
            led.set()
            await stop.wait()

    leading = asyncio.create_task(lead(first))
    await led.wait()
    led.clear()
    waiting = asyncio.create_task(lead(second))
    await asyncio.sleep(1.5)  # longer than the lease lasts without a renewal
    assert (first.leading, second.leading) == (True, False)
    leading.cancel()
    async with asyncio.timeout(0.5):  # it was given back: nobody waits for it to run out
        await led.wait()
    assert (first.leading, second.leading) == (False, True)
    waiting.cancel()
    await asyncio.gather(leading, waiting, return_exceptions=True)


@pytest.mark.parametrize("silent", [False, True])
async def test_who_cannot_renew_stops_before_anybody_else_may_start(silent: bool) -> None:
    server = Server()
    server.silent = silent
    first, second = lease(server, "first"), lease(server, "second")
    async with first.held() as lost:
        server.away = "first"
        holding = second.held()
        following = asyncio.create_task(holding.__aenter__())
        await lost
        assert not first.leading
        assert not following.done()
        async with asyncio.timeout(3):
            await following
        assert second.leading
        server.away = ""
    assert server.spec["holderIdentity"] == "second"  # the first has nothing to give back
    await holding.__aexit__(None, None, None)


async def test_a_server_that_is_slow_costs_nobody_the_lease() -> None:
    server = Server()
    server.late = 0.12
    async with lease(server, "first").held() as lost:
        await asyncio.wait([lost], timeout=0.8)
        assert not lost.done()


async def test_a_holder_s_time_begins_when_it_asks_not_with_a_late_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others see what it wrote at once, and count from there."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.6)
    server = Server()
    server.late = 0.55
    first, second = lease(server, "first"), lease(server, "second")
    holding, following = first.held(), second.held()
    leading = asyncio.create_task(holding.__aenter__())
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(following.__aenter__())
    lost = await leading
    server.away = "first"
    await asyncio.wait([lost, waiting], return_when=asyncio.FIRST_COMPLETED)
    assert (first.leading, second.leading) == (False, False)
    await waiting
    await holding.__aexit__(None, None, None)
    await following.__aexit__(None, None, None)


async def test_the_record_is_as_other_tools_write_it() -> None:
    server = Server()
    async with lease(server, "first").held():
        taken = server.spec
        assert server.objects["Lease", "system", "csum"]["apiVersion"] == "coordination.k8s.io/v1"
        assert taken == {
            "holderIdentity": "first",
            "leaseDurationSeconds": 1,
            "leaseTransitions": 1,
            "acquireTime": taken["renewTime"],
            "renewTime": taken["renewTime"],
        }
        assert abs((datetime.fromisoformat(taken["renewTime"]) - datetime.now(UTC)).total_seconds()) < 5
        await asyncio.sleep(0.2)
        renewed = server.spec
        assert renewed == {**taken, "renewTime": renewed["renewTime"]} != taken
    assert server.spec["holderIdentity"] == ""


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": "", "leaseTransitions": 4, "acquireTime": "then"}])
async def test_a_lease_that_nobody_holds_is_taken_at_once_and_the_change_counted(spec: dict[str, Any] | None) -> None:
    server = Server()
    server.holds()["spec"] = spec
    async with asyncio.timeout(0.5), lease(server, "first").held():
        assert server.spec["leaseTransitions"] == (spec or {}).get("leaseTransitions", 0) + 1
        assert server.spec["acquireTime"] == server.spec["renewTime"]


@pytest.mark.parametrize(("duration", "least"), [({"leaseDurationSeconds": 0.3}, 0.3), ({}, 1.0)])
async def test_another_s_lease_runs_out_after_its_own_time(duration: dict[str, float], least: float) -> None:
    server = Server()
    server.holds(holderIdentity="other", renewTime="2000-01-01T00:00:00.000000Z", **duration)
    began = time.monotonic()
    async with asyncio.timeout(least + 0.5), lease(server, "first").held():
        assert time.monotonic() - began > least


async def test_of_two_that_see_the_same_record_one_gets_it() -> None:
    server = Server()
    server.holds(holderIdentity="")
    both = [lease(server, name) for name in ("first", "second")]
    holding = [one.held() for one in both]
    entering = [asyncio.create_task(one.__aenter__()) for one in holding]
    done, waiting = await asyncio.wait(entering, timeout=0.3)
    assert [one.leading for one in both].count(True) == len(done) == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(entering)
    await holding[entering.index(*done)].__aexit__(None, None, None)
