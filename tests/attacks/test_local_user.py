"""Another user of the machine on which a reader has a page open."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from confidential_summarizer.cli.open import Channel, peers
from confidential_summarizer.cli.open.door import COOKIE, Door
from confidential_summarizer.cli.open.proxy import local_end
from confidential_summarizer.evidence import Verdict

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SOMEBODY_ELSE = 65534


async def never() -> tuple[str, Verdict]:
    raise AssertionError("nobody was let in")


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    """`csum open` as it runs, before a page behind it is asked anything."""
    door = Door(0)
    channel = Channel("https://127.0.0.1:1", peers.Peers(never, lambda _: True))
    runner = web.AppRunner(local_end(channel, door), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.port = runner.addresses[0][1]
    try:
        yield door
    finally:
        await runner.cleanup()


async def answer(door: Door, path: str, cookie: str = "", *, user: int = 0, family: int = socket.AF_INET) -> str:
    """Return the status line of what a program of this user is answered: a socket is of whoever makes it."""
    os.seteuid(user)
    try:
        connection = socket.socket(family)
    finally:
        os.seteuid(0)
    with connection:
        connection.setblocking(False)
        host = "127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1"
        await asyncio.get_running_loop().sock_connect(connection, (host, door.port))
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {door.host}\r\nCookie: {cookie}\r\n\r\n".encode())
        status = (await reader.readline()).decode().strip()
        writer.close()
        return status


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_who_sees_the_link_in_the_list_of_processes_is_not_let_in(family: int) -> None:
    async with opened() as door:
        link = door.link.removeprefix(f"http://{door.host}")

        thief = await answer(door, link, user=SOMEBODY_ELSE, family=family)
        reader = await answer(door, link, family=family)

    assert thief == "HTTP/1.1 403 Forbidden"
    assert reader == "HTTP/1.1 303 See Other"


async def test_who_got_hold_of_the_session_is_not_let_in() -> None:
    """Browsers send a cookie to every port of a name, so to a program of anybody's that listens there."""
    async with opened() as door:
        status = await answer(door, "/api/summaries", f"{COOKIE}={door.session}", user=SOMEBODY_ELSE)

    assert status == "HTTP/1.1 403 Forbidden"
