"""Two processes and one lease: at any moment one of them works at most."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from confidential_summarizer.errors import TransientError
from confidential_summarizer.kube import lease as module
from confidential_summarizer.kube.lease import Lease
from tests.support.fakes import FakeKube


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("DURATION_SECONDS", 1.0), ("DEADLINE_SECONDS", 0.4), ("RETRY_SECONDS", 0.05)):
        monkeypatch.setattr(module, name, seconds)


class Server(FakeKube):
    """An API server that counts versions, and can be away for one of its clients."""

    away: str = ""
    late: float = 0.0

    def client(self, name: str) -> Any:
        return Client(self, name)


class Client:
    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    async def get(self, *arguments: Any) -> Any:
        self._reach()
        return await self.server.get(*arguments)

    async def create(self, manifest: Any) -> Any:
        self._reach()
        created = await self.server.create(manifest)
        await asyncio.sleep(self.server.late)
        return created

    async def merge(self, *arguments: Any) -> Any:
        self._reach()
        return await self.server.merge(*arguments)

    def _reach(self) -> None:
        if self.server.away == self.name:
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


async def test_who_cannot_renew_stops_before_anybody_else_may_start() -> None:
    server = Server()
    first, second = lease(server, "first"), lease(server, "second")
    async with first.held() as lost:
        server.away = "first"
        following = asyncio.create_task(second.held().__aenter__())
        await lost
        assert not first.leading
        assert not following.done()
        async with asyncio.timeout(3):
            (await following).cancel()
        assert second.leading


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
        spec = server.objects["Lease", "system", "csum"]["spec"]
        assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("first", 1)
        assert abs((datetime.fromisoformat(spec["renewTime"]) - datetime.now(UTC)).total_seconds()) < 5
    assert server.objects["Lease", "system", "csum"]["spec"]["holderIdentity"] == ""
