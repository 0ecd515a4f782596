"""Passes requests on to a server of this machine, byte for byte, once somebody has decided that they may pass."""

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
"""What concerns one connection only (RFC 9110 section 7.6.1)."""

NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that this client would add to a request that has none; the first few are signed by clients of storage."""

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)


class Front:
    """The way to one server on 127.0.0.1.

    Args:
        name: What it is called where it does not answer.
        port: Its port.
        tls: Checks its certificate, which is one for the host of each request; None where it speaks plain HTTP.
    """

    def __init__(self, name: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.origin = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        self.tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, request: web.Request, renamed: Mapping[str, str] | None = None) -> web.StreamResponse:
        """Pass a request on and its answer back; path, query, host and bodies stay as they are.

        Args:
            request: Of a client.
            renamed: Texts in the answer's challenge, and what stands in their place.
        """
        if self._session is None:
            # Kept open, a connection may end just when the next request is sent, whose body cannot be sent twice.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, auto_decompress=False)
        tls: dict[str, Any] = {} if self.tls is None else {"ssl": self.tls, "server_hostname": request.host}
        try:
            async with self._session.request(
                request.method,
                URL(f"{self.origin}{request.raw_path}", encoded=True),
                headers=_kept(request.headers),
                data=request.content if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=NOT_ADDED,
                **tls,
            ) as answer:
                return await _returned(request, answer, renamed or {})
        except aiohttp.ClientConnectorError:
            return web.Response(status=502, text=f"the sandbox's {self.name} is not running\n")

    async def close(self, _: web.Application) -> None:
        """Close the connections, as the application does at its end."""
        if self._session is not None:
            await self._session.close()


async def _returned(
    request: web.Request, answer: aiohttp.ClientResponse, renamed: Mapping[str, str]
) -> web.StreamResponse:
    headers = _kept(answer.headers)
    if challenge := headers.get("WWW-Authenticate"):
        for before, after in renamed.items():
            challenge = challenge.replace(before, after)
        headers["WWW-Authenticate"] = challenge
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)
