"""Who may come in at the local end: the reader's own browser, and no other site or user of this machine."""

import hmac
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from confidential_summarizer.cli.open.users import is_ours

COOKIE = "csum_open"
KEY = "key"
"""Query parameter of the link that opens the door once."""


@dataclass
class Door:
    """The local end's lock.

    Browsers keep cookies by host name and not by port, so that every program that listens at `localhost` gets those of
    all others. Hence a name of its own: browsers lead every name below `localhost` to this machine (RFC 6761).

    Attributes:
        port: Of the local end.
        name: Host name of the local end.
        link_key: Opens the door once; then it is empty.
        session: What the cookie holds from then on.
    """

    port: int
    name: str = field(default_factory=lambda: f"csum-{secrets.token_hex(4)}.localhost")
    link_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def link(self) -> str:
        """What the reader's browser opens."""
        return f"http://{self.host}/?{KEY}={self.link_key}"

    @property
    def host(self) -> str:
        """The only value of `Host` that is answered."""
        return f"{self.name}:{self.port}"

    def answer(self, request: web.Request) -> web.StreamResponse | None:
        """Return an answer that keeps a request out or lets a browser in; None for one that is in already."""
        if request.host != self.host:
            return _text(HTTPStatus.MISDIRECTED_REQUEST, "This is not the name of this page.")
        if not is_ours(request.transport):
            return _text(HTTPStatus.FORBIDDEN, "This page is another user's. Open yours with `csum open`.")
        if not self._is_same_site(request):
            return _text(HTTPStatus.FORBIDDEN, "Another site may not use this page.")
        key = request.query.get(KEY, "")
        if request.path == "/" and key:
            return self._let_in(key)
        held = request.cookies.get(COOKIE, "")
        if not hmac.compare_digest(held.encode(), self.session.encode()):
            return _text(HTTPStatus.FORBIDDEN, "This page is somebody else's. Open yours with `csum open`.")
        return None

    def _is_same_site(self, request: web.Request) -> bool:
        """Tell whether the page itself asks, or the reader: by what browsers say of themselves, and no script can."""
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        # A form of a page that sends no referrer comes from `null`, and so does what another site shuts into a frame.
        if origin == "null":
            return site == "same-origin"
        return origin in (None, f"http://{self.host}") and site in (None, "same-origin", "none")

    def _let_in(self, key: str) -> web.Response:
        if not self.link_key or not hmac.compare_digest(key.encode(), self.link_key.encode()):
            return _text(HTTPStatus.FORBIDDEN, "This link works once, and has been used. Run `csum open` again.")
        self.link_key = ""
        answer = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
        answer.set_cookie(COOKIE, self.session, httponly=True, samesite="Strict", path="/")
        return answer


def _text(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={"Cache-Control": "no-store"})
