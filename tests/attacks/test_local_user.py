"""Another user of the machine on which a reader has a page open, or anybody calls csum."""

import asyncio
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from confidential_summarizer.cli.open import Channel, peers
from confidential_summarizer.cli.open.door import COOKIE, Door
from confidential_summarizer.cli.open.proxy import local_end
from confidential_summarizer.evidence import Verdict
from confidential_summarizer.kube.client import connect
from tests.support.tls import Handler, plainly

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


async def test_who_foresees_the_name_of_a_temporary_file_has_none_of_the_users_own_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library for Kubernetes names what it keeps by the server's address."""

    class Server(Handler):
        def get(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"kind": "APIGroupList", "groups": []}).encode())

    shared, own, kubeconfig = tmp_path / "shared", tmp_path / "own", tmp_path / "kubeconfig"
    shared.mkdir()
    own.write_text("precious", encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with plainly(Server) as url:
        parts = {"clusters": {"cluster": {"server": url}}, "users": {"user": {}}, "contexts": {"context": {"cluster": "it", "user": "it"}}}  # fmt: skip
        document = {part: [{"name": "it", **content}] for part, content in parts.items()}
        kubeconfig.write_text(json.dumps({"current-context": "it", **document}), encoding="utf-8")
        (shared / f"osrcp-{hashlib.md5(url.encode()).hexdigest()}.json").symlink_to(own)  # noqa: S324 - the library's
        async with connect():
            pass
    assert own.read_text(encoding="utf-8") == "precious"
    assert len(list(shared.iterdir())) == 1
