"""The channel of `csum open`: who is spoken with, and who may come in at the local end."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from confidential_summarizer.cli.open.door import Door
from confidential_summarizer.cli.open.peers import TRUST_SECONDS, Peers, Refused
from confidential_summarizer.cli.open.proxy import Channel, local_end
from confidential_summarizer.evidence import Check, Token, Verdict
from confidential_summarizer.pages import peer_of
from summarizer.channel import ChannelKey, memory_file, new_channel_key
from tests.support.tls import unverified_tls

NOW = datetime.now(UTC)
PACKED = gzip.compress(b"summaries " * 100_000)


def approved(_host_data: str) -> bool:
    return True


@dataclass
class Group:
    """A page that keeps what it was sent."""

    key: ChannelKey = field(default_factory=new_channel_key)
    genuine: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def page(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, dict(request.headers)))
        if request.path == "/stream":
            socket = web.WebSocketResponse(protocols=["streamlit"])
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(f"you said {message.data}")
            return socket
        if request.path == "/login":
            answer = web.Response(status=303, headers={"Location": "/"})
            answer.set_cookie("session", "s", secure=True, httponly=True, samesite="Strict")
            return answer
        if request.path == "/packed":
            return web.Response(body=PACKED, headers={"Content-Encoding": "gzip"})
        return web.Response(text=f"{request.method} {request.path_qs} {(await request.read()).decode()}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(memory_file(self.key.pem))
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


@dataclass
class Address:
    """One address with groups behind it, which take turns as a load balancer lets them."""

    ports: dict[str, int]
    order: list[str]
    port: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.order.append(self.order.pop(0))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.ports[self.order[-1]])

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while chunk := await source.read(1 << 16):
                    target.write(chunk)
            except ConnectionError:
                pass
            target.close()

        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


@asynccontextmanager
async def behind_one_address(**groups: Group) -> AsyncIterator[Address]:
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(group.running()) for name, group in groups.items()}
        address = Address(ports, list(groups))
        server = await asyncio.start_server(address.carry, "127.0.0.1", 0)
        address.port = server.sockets[0].getsockname()[1]
        try:
            yield address
        finally:
            server.close()


def prover(address: Address, *groups: Group) -> Callable[[], object]:
    """Ask who answers now; a group that is not genuine has evidence of another key."""

    async def prove() -> tuple[str, Verdict]:
        _, writer = await asyncio.open_connection("127.0.0.1", address.port, ssl=unverified_tls())
        peer = peer_of(writer.transport)
        writer.close()
        passed = any(group.key.spki_sha256 == peer and group.genuine for group in groups)
        detail = "TLS ends elsewhere: somebody stands between"
        return peer, Verdict((Check("Channel", passed, detail),), Token({}, {}, ""))

    return prove


@asynccontextmanager
async def in_a_browser(
    *groups: Group, token: str | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, str, Door]]:
    """Open a channel to the groups in a browser; say where its local end is."""
    async with (
        behind_one_address(**{str(number): group for number, group in enumerate(groups)}) as address,
        opened(address, Peers(prover(address, *groups), approved), token) as (door, url, _),
        browser(door) as session,
    ):
        yield session, url, door


@asynccontextmanager
async def opened(address: Address, peers: Peers, token: str | None = None) -> AsyncIterator[tuple[Door, str, Channel]]:
    async with Channel(f"https://127.0.0.1:{address.port}", peers, token) as channel:
        door = Door(0)
        runner = web.AppRunner(local_end(channel, door), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door.port = runner.addresses[0][1]
        try:
            yield door, f"http://127.0.0.1:{door.port}", channel
        finally:
            await runner.cleanup()


def browser(door: Door) -> aiohttp.ClientSession:
    """A browser that is in: it has the door's cookie and knows its name."""
    headers = {"Host": door.host, "Cookie": f"csum_open={door.session}; own=1"}
    return aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar())


async def test_requests_and_web_sockets_reach_the_group_without_the_doors_cookie() -> None:
    group = Group()
    async with (
        behind_one_address(one=group) as address,
        opened(address, Peers(prover(address, group), approved)) as (door, url, _),
        browser(door) as session,
    ):
        async with session.post(f"{url}/a?b=c", data=b"text") as answer:
            assert await answer.text() == "POST /a?b=c text"
        socket_headers = {"Origin": f"http://{door.host}"}
        async with session.ws_connect(f"{url}/stream", protocols=["streamlit", "x"], headers=socket_headers) as socket:
            await socket.send_str("hello")
            assert (await socket.receive_str(), socket.protocol) == ("you said hello", "streamlit")
    assert [path for path, _ in group.requests] == ["/a?b=c", "/stream"]
    for _, headers in group.requests:
        assert headers["Host"] == door.host
        assert headers["Cookie"] == "own=1"


async def test_what_a_page_packs_is_unpacked_by_the_browser_alone() -> None:
    """A few bytes of a page would otherwise be gigabytes in `csum open`, and the browser could not read the rest."""
    async with in_a_browser(Group()) as (session, url, _), session.get(f"{url}/packed") as answer:
        assert answer.headers["Content-Length"] == str(len(PACKED))
        assert await answer.read() == gzip.decompress(PACKED)


async def test_a_program_that_cannot_unpack_is_sent_nothing_packed() -> None:
    """As `curl -o summaries.csv`, which asks for no encoding."""
    group = Group()
    unasked = ["Accept", "Accept-Encoding"]
    async with in_a_browser(group) as (session, url, _), session.get(f"{url}/csv", skip_auto_headers=unasked) as answer:
        assert answer.status == 200
    ((_, headers),) = group.requests
    assert {"Accept", "Accept-Encoding"}.isdisjoint(headers)


async def test_the_token_goes_to_who_proved_itself() -> None:
    group = Group()
    async with behind_one_address(one=group) as address:
        peers = Peers(prover(address, group), approved)
        async with opened(address, peers, "secret") as (_, _, channel), channel.request("GET", "/x") as answer:
            assert answer.status == 200
    assert group.requests[0][1]["Authorization"] == "Bearer secret"


async def test_who_does_not_prove_itself_gets_nothing_and_the_reader_a_sentence() -> None:
    forged = Group(genuine=False)
    async with in_a_browser(forged, token="secret") as (session, url, _):
        async with session.post(url, data=b"text") as answer:
            assert answer.status == 502
            assert "somebody stands between" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/stream")
    assert forged.requests == []


async def test_each_group_behind_one_address_proves_itself() -> None:
    groups = [Group(), Group(), Group()]
    proofs = []
    async with behind_one_address(a=groups[0], b=groups[1], c=groups[2]) as address:
        prove = prover(address, *groups)

        async def counted() -> tuple[str, Verdict]:
            proofs.append(await prove())
            return proofs[-1]

        async with opened(address, Peers(counted, approved)) as (_, _, channel):
            for _ in range(9):
                async with channel.request("GET", "/x", {"Connection": "close"}) as answer:
                    assert answer.status == 200
    assert {peer for peer, _ in proofs} == {group.key.spki_sha256 for group in groups}
    assert all(group.requests for group in groups)


async def test_a_forger_among_the_groups_gets_nothing() -> None:
    honest, forged = Group(), Group(genuine=False)
    statuses = []
    async with in_a_browser(honest, forged, token="secret") as (session, url, _):
        for _ in range(6):
            async with session.get(url, headers={"Connection": "close"}) as answer:
                statuses.append(answer.status)
    assert forged.requests == []
    assert set(statuses) == {200, 502}


async def test_a_proof_counts_for_minutes_only() -> None:
    now = [0.0]
    group = Group()
    async with behind_one_address(a=group) as address:
        peers = Peers(prover(address, group), approved, clock=lambda: now[0])
        peer = await peers.ask()
        now[0] += TRUST_SECONDS - 1
        assert peers.is_proven(peer)
        now[0] += 1
        assert not peers.is_proven(peer)
        group.genuine = False
        with pytest.raises(Refused, match="somebody stands between"):
            await peers.admit(peer)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": ""}, 403),
        ({"Cookie": "csum_open=guess"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost"}, 421),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_other_sites_and_users_of_this_machine_stay_out(headers: dict[str, str], status: int) -> None:
    group = Group()
    async with in_a_browser(group) as (session, url, _):
        async with session.get(url, headers=headers) as answer:
            assert answer.status == status
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/stream", headers=headers)
    assert group.requests == []


async def test_a_form_of_the_page_itself_gets_through_though_it_hides_where_it_comes_from() -> None:
    """Browsers say `Origin: null` for it, because the page asks them for no referrer."""
    async with in_a_browser(Group()) as (session, url, _):
        headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
        async with session.post(f"{url}/x", headers=headers) as answer:
            assert answer.status == 200


async def test_the_link_lets_one_browser_in_once() -> None:
    group = Group()
    async with in_a_browser(group) as (_, url, door):
        key = door.link.partition("/?")[2]
        async with aiohttp.ClientSession(headers={"Host": door.host}) as session:
            async with session.get(f"{url}/?{key}x", allow_redirects=False) as wrong:
                assert wrong.status == 403
            async with session.get(f"{url}/?{key}", allow_redirects=False) as first:
                assert (first.status, first.headers["Location"]) == (303, "/")
                cookie = first.headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Strict" in cookie
            async with session.get(f"{url}/?{key}", allow_redirects=False) as second:
                assert second.status == 403
    assert group.requests == []


async def test_the_pages_own_cookie_is_kept_by_a_browser_without_tls() -> None:
    group = Group()
    async with in_a_browser(group) as (session, url, _), session.get(f"{url}/login", allow_redirects=False) as answer:
        cookie = answer.headers["Set-Cookie"]
        assert "secure" not in cookie.lower()
        assert "HttpOnly" in cookie
        assert answer.headers["Location"] == "/"
