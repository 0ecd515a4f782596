"""Carries a browser's requests and web sockets to a page whose every peer has proved itself first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from confidential_summarizer.cli.console import warn
from confidential_summarizer.cli.open.door import COOKIE, Door
from confidential_summarizer.cli.open.peers import Peers, ProvenOnly, Refused, Unproven

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade"}
)  # fmt: skip
"""Headers of one connection only (RFC 9110 section 7.6.1)."""
SOCKET_HEADERS = frozenset({"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
                            "sec-websocket-protocol", "sec-websocket-accept"})  # fmt: skip
MOST_MESSAGE = 64 << 20
"""Bytes of one web socket message; a page of summaries has some kilobytes."""
CHUNK = 1 << 16
CONNECT_SECONDS = 30.0

T = TypeVar("T")


class Channel:
    """The way to the page. Use as an async context manager.

    Args:
        url: The page's URL.
        peers: Who may be spoken with.
        token: The readers' token, sent with each request; None where readers type it into the page.
    """

    def __init__(self, url: str, peers: Peers, token: str | None = None) -> None:
        self.url = url
        self.peers = peers
        self._token = token
        self._sockets: set[web.WebSocketResponse] = set()

    async def __aenter__(self) -> "Channel":
        self._session = self._new_session()
        self._asking = asyncio.create_task(self.peers.keep_asking(self.start_anew))
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        await self.start_anew()
        await self._session.close()

    def _new_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(ssl=ProvenOnly(self.peers))
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=True,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),  # a program that asks for nothing packed cannot unpack it
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def start_anew(self) -> None:
        """Give up every connection that is open."""
        before, self._session = self._session, self._new_session()
        for socket in tuple(self._sockets):
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
        await before.close()

    async def proven(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do something over a connection whose other end has proved itself.

        Raises:
            Refused: It did not; nothing was sent to it.
            aiohttp.ClientError: The page does not answer.
        """
        while True:
            try:
                return await attempt()
            except Unproven as unproven:
                await self.peers.admit(unproven.peer)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: aiohttp.StreamReader | bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; errors as in `proven`."""
        sent = CIMultiDict(headers or {})
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        response = await self.proven(
            lambda: self._session.request(method, self.url + path, headers=sent, data=body, allow_redirects=False)
        )
        async with response:
            yield response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """Carry a web socket until one side ends it; errors as in `proven`."""
        offered = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        headers = onward(request)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        far = await self.proven(
            lambda: self._session.ws_connect(
                self.url + request.path_qs, headers=headers, protocols=offered, max_msg_size=MOST_MESSAGE
            )
        )
        async with far:
            near = web.WebSocketResponse(
                protocols=[far.protocol] if far.protocol else [], max_msg_size=MOST_MESSAGE, compress=False
            )
            await near.prepare(request)
            self._sockets.add(near)
            try:
                carriers = [asyncio.create_task(_carry(near, far)), asyncio.create_task(_carry(far, near))]
                await asyncio.wait(carriers, return_when=asyncio.FIRST_COMPLETED)
                for carrier in carriers:
                    carrier.cancel()
                await asyncio.gather(*carriers, return_exceptions=True)
            finally:
                self._sockets.discard(near)
                await near.close()
        return near


def local_end(channel: Channel, door: Door) -> web.Application:
    """Return the local server: what the door lets in goes through the channel."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = door.answer(request)
        if answer is not None:
            return answer
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await channel.socket(request)
            return await _carried(channel, request)
        except Refused as refused:
            warn(str(refused))
            return web.Response(status=HTTPStatus.BAD_GATEWAY, text=f"{refused}\n")
        except (aiohttp.ClientError, TimeoutError) as error:
            text = f"The page does not answer ({type(error).__name__}). Is the group still running?\n"
            return web.Response(status=HTTPStatus.BAD_GATEWAY, text=text)

    app = web.Application(client_max_size=MOST_MESSAGE)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def _carried(channel: Channel, request: web.Request) -> web.StreamResponse:
    body = request.content if request.can_read_body else None
    async with channel.request(request.method, request.path_qs, onward(request), body) as far:
        near = web.StreamResponse(status=far.status, reason=far.reason)
        for name, value in far.headers.items():
            if name.lower() not in HOP_BY_HOP:
                near.headers.add(name, _backward(name, value, request.host))
        await near.prepare(request)
        async for chunk in far.content.iter_chunked(CHUNK):
            await near.write(chunk)
        await near.write_eof()
        return near


def onward(request: web.Request) -> CIMultiDict[str]:
    """Return what of a browser's headers goes to the page; the local end's own cookie does not."""
    dropped = HOP_BY_HOP | SOCKET_HEADERS | {"cookie"}
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in dropped)
    cookies = "; ".join(f"{name}={value}" for name, value in request.cookies.items() if name != COOKIE)
    if cookies:
        headers["Cookie"] = cookies
    return headers


def _backward(name: str, value: str, host: str) -> str:
    match name.lower():
        case "set-cookie":
            # The last step is inside this machine and without TLS, where some browsers take no Secure cookie.
            return "; ".join(part.strip() for part in value.split(";") if part.strip().lower() != "secure")
        case "location":
            return value.replace(f"https://{host}", f"http://{host}", 1)
        case _:
            return value


async def _carry(
    one: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    other: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in one:
        if message.type is aiohttp.WSMsgType.TEXT:
            await other.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await other.send_bytes(message.data)
