"""The edges that all resources share."""

import asyncio
import socket
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from confidential_summarizer.errors import TransientError
from confidential_summarizer.evidence import SigningKey
from confidential_summarizer.wiring import KEYS_SECONDS, AuthorityKeys, connected
from tests.support.attested import Attested

KEYS = Attested(datetime(2026, 11, 28, tzinfo=UTC)).keys


@dataclass
class Service:
    """An attestation service that is away while `error` says so."""

    asked: int = 0
    error: Exception | None = None
    now: float = 0.0
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, authority: str) -> tuple[SigningKey, ...]:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return KEYS


@pytest.fixture
def service() -> Service:
    return Service()


async def test_groups_that_prove_themselves_at_once_share_one_question(service: Service) -> None:
    keys = AuthorityKeys(service.ask, lambda: service.now)
    asking = [asyncio.create_task(keys("one")) for _ in range(50)]
    await asyncio.sleep(0)
    asking.pop(0).cancel()  # it has asked for all of them
    service.answers.set()
    assert await asyncio.gather(*asking) == [KEYS] * 49
    assert service.asked == 1
    service.now = KEYS_SECONDS + 1
    await keys("one")
    assert service.asked == 2


async def test_a_service_that_was_away_is_asked_again_by_the_next_group(service: Service) -> None:
    service.answers.set()
    service.error = TransientError("away")
    keys = AuthorityKeys(service.ask, lambda: service.now)
    with pytest.raises(TransientError):
        await keys("one")
    service.error = None
    assert await keys("one") == KEYS


async def test_an_api_server_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "37"})

    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"kind": "APIGroupList", "groups": [], "resources": [], "versions": []})

    async def open_it() -> str:
        async with connected(pause=0.01) as kube:
            return type(kube).__name__

    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        port = held.getsockname()[1]
    kubeconfig.write_text(yaml.safe_dump(config_of(f"http://127.0.0.1:{port}")))
    opening = asyncio.create_task(open_it())
    while "asked again" not in caplog.text:
        assert not opening.done()
        await asyncio.sleep(0.01)
    app = web.Application()
    app.add_routes([web.get("/version", version), web.get("/{rest:.*}", nothing)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    assert await opening == "KubernetesClient"
    await runner.cleanup()


def config_of(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
