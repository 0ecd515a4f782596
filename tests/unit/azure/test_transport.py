"""Every answer of a service of Azure is told to whoever counts them; the way to it is the environment's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core import AsyncPipelineClient
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest

from confidential_summarizer.azure import transport


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    heard: list[tuple[str, int | None]] = []
    monkeypatch.setattr(transport, "_observers", [])
    transport.observe(lambda service, status: heard.append((service, status)))
    monkeypatch.setitem(transport.SERVICES, "127", "loopback")
    return heard


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429)

    async def be_slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def echo(request: web.Request) -> web.Response:
        """What the client takes, in a reply that says it is compressed."""
        return web.Response(text=request.headers["Accept-Encoding"], headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.add_routes([web.get("/", refuse), web.get("/slow", be_slow), web.get("/echo", echo)])
    async with TestServer(app) as running:
        yield running


async def test_an_answer_is_told_with_its_service_and_status(
    server: TestServer, told: list[tuple[str, int | None]]
) -> None:
    async with transport.new_transport() as sender:
        response = await sender.send(HttpRequest("GET", str(server.make_url("/"))))
    assert response.status_code == 429
    assert told == [("loopback", 429)]


async def test_a_service_that_cannot_be_reached_is_told_too(told: list[tuple[str, int | None]]) -> None:
    async with transport.new_transport() as sender:
        with pytest.raises(ServiceRequestError):
            await sender.send(HttpRequest("GET", "http://127.0.0.1:9/"))
    assert told == [("loopback", None)]


@pytest.mark.parametrize(
    ("failure", "retries", "calls"),
    [
        ("throttled", 0, 1),
        ("throttled", 5, 6),
        ("no answer in time", 0, 1),
        ("no answer in time", 5, 6),
        ("no connection", 0, 1),
        ("no connection", 1, 2),
        ("no connection", 5, 2),
    ],
)
async def test_an_sdk_client_repeats_a_call_as_often_as_it_is_told_and_a_connection_once(
    server: TestServer,
    told: list[tuple[str, int | None]],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    retries: int,
    calls: int,
) -> None:
    async def sleep(_: object, duration: float) -> None:
        return None

    monkeypatch.setattr(transport.ObservedTransport, "sleep", sleep)
    options = transport.client_options(retries)
    paths = {"throttled": "/", "no answer in time": "/slow"}
    url = str(server.make_url(paths[failure])) if failure in paths else "http://127.0.0.1:9/"
    async with AsyncPipelineClient(url, policies=[AsyncRetryPolicy(**options)], transport=options["transport"]) as sdk:
        with contextlib.suppress(AzureError):
            await sdk.send_request(HttpRequest("GET", url), read_timeout=0.01)
    assert len(told) == calls


async def test_what_has_no_sdk_is_asked_for_a_plain_reply_and_takes_it_as_it_comes(server: TestServer) -> None:
    async with transport.plain_session() as session, session.get(server.make_url("/echo")) as answer:
        assert await answer.text() == "identity"
    assert session.timeout.total == 60


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[tuple[str, str | None]]]:
    """Hosts that were asked for through the proxy of the environment, and how their client signed in."""
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.host, request.headers.get("Authorization")))
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", answer)])
    async with TestServer(app) as running:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, str(running.make_url("/")))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        yield asked


async def test_a_service_is_asked_through_the_proxy_of_the_environment(
    proxy: list[tuple[str, str | None]], server: TestServer
) -> None:
    async with transport.new_transport() as sender:
        await sender.send(HttpRequest("GET", "http://vault.invalid/"))
        answer = await sender.send(HttpRequest("GET", str(server.make_url("/"))))
    async with transport.plain_session() as session:
        await session.get("http://attest.invalid/")
    assert answer.status_code == 429  # of the server, for whose host no proxy is asked
    assert proxy == [("vault.invalid", None), ("attest.invalid", None)]


async def test_no_password_of_a_netrc_file_goes_to_a_service(
    proxy: list[tuple[str, str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine vault.invalid login us password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with transport.new_transport() as sender:
        await sender.send(HttpRequest("GET", "http://vault.invalid/"))
    assert proxy == [("vault.invalid", None)]
