"""Every answer of a service of Azure is told to whoever counts them."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.exceptions import ServiceRequestError
from azure.core.rest import HttpRequest

from confidential_summarizer.azure import transport


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    heard: list[tuple[str, int | None]] = []
    monkeypatch.setattr(transport, "_observers", [lambda service, status: heard.append((service, status))])
    monkeypatch.setitem(transport.SERVICES, "127", "loopback")
    return heard


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=429)

    app = web.Application()
    app.add_routes([web.get("/", refuse)])
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
