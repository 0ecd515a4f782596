"""Who may see the summaries: one token, of which the group knows only the SHA-256.

Programs send `Authorization: Bearer TOKEN`. In a browser people type it at `/login`; the browser then holds a session
cookie, which also opens the page's web socket. No URL takes a token: it would stay in histories and logs. State and
evidence stay open: they hold no summary.
"""

import hashlib
import hmac
import html
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from summarizer.errors import Busy
from summarizer.peers import RETRY_AFTER, SIGN_IN, Peers
from summarizer.throttle import address_of

# Probes, and what the operator and the data owner ask without being readers: state and evidence hold no summary.
OPEN_PATHS: Final = frozenset(
    {"/healthz", "/readyz", "/metrics", "/_stcore/health", "/api/status", "/api/evidence", "/login"}
)
# What the page keeps in its address (page.py).
_CHOICES: Final = frozenset({"documents", "model", "compare", "length", "search", "sort"})
_UPLOADS: Final = "/_stcore/upload_file/"
_COOKIE: Final = "summarizer_session"
_SESSION_SECONDS: Final = 12 * 3600
# A form with one token; more than that is no login.
_MAX_FORM: Final = 4096
# Of a form that comes in pieces: whoever sends it slowly keeps those behind the same address from signing in.
_FORM_SECONDS: Final = 10.0

_LOGIN_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confidential summaries: sign in</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem }} input, button {{ font: inherit; padding: .5rem; width: 100%; box-sizing: border-box }}
button {{ margin-top: .75rem; background: #0f5c8c; color: #fff; border: 0; border-radius: .3rem }}
.error {{ color: light-dark(#a4161a, #ff9c9c) }}
</style></head><body><main><h1>Confidential summaries</h1>
{notice}<form method="post" action="/login{query}"><p><label for="token">Access token</label></p>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus{invalid}>
<button>Sign in</button></form></main></body></html>"""
_WRONG: Final = '<p class="error" role="alert" id="wrong">This is not the token of this summarizer.</p>'
_TOO_OFTEN: Final = (
    '<p class="error" role="alert">Somebody at your address tried to sign in too often. Try again in a minute.</p>'
)
_SIGNED_OUT: Final = '<p role="status">You are signed out on this browser.</p>'

# What holds summaries: the API's answers, and the files that the page offers to download.
_UNSTORED: Final = ("/api/", "/media/")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """Adds the headers that keep other sites from framing, sniffing or learning of the page, and summaries unstored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if scope["path"].startswith(_UNSTORED):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)


# Endings of names whose addresses no visited site can decide: the cluster's, Azure's, and those that are not public.
_NAMED_BY_NOBODY_ELSE: Final = (".localhost", ".svc", ".cluster.local", ".internal", ".azurecontainer.io")


class KnownHosts:
    """Refuses requests for a host that somebody on the internet may have named.

    A site that a reader visits can have its own name resolve to this address; the reader's browser would then let it
    read the page (DNS rebinding). It cannot do so with an address, nor with a name of the cluster or of Azure.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or web socket."""
        if scope["type"] not in ("http", "websocket") or _is_known(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _close(receive, send)
        else:
            text = "This page is not served under that name. Open it with `csum open`, or by its address.\n"
            await PlainTextResponse(text, status_code=421)(scope, receive, send)


def _is_known(host: str) -> bool:
    name = ""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return name != "" and ("." not in name or name.endswith(_NAMED_BY_NOBODY_ELSE))


class SameOriginSockets:
    """Refuses web sockets that another site opens.

    Streamlit refuses them too, but first asks an address service on the internet for its own address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or web socket."""
        if scope["type"] == "websocket":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != headers.get("host"):
                await _close(receive, send)
                return
        await self._app(scope, receive, send)


class NoUploads:
    """Refuses files: the page takes none, and streamlit would keep any number of them for each of its sessions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"].startswith(_UPLOADS):
            await PlainTextResponse("This page takes no files.\n", status_code=404)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class TokenAccess:
    """Lets through only who knows the token."""

    def __init__(self, app: ASGIApp, token_sha256: str, peers: Peers) -> None:
        """Guard `app` with the token whose SHA-256 (64 hex digits) this is; `peers` counts who signs in."""
        self._app = app
        self._peers = peers
        self._token_sha256 = token_sha256
        # One token, one permission: every signed-in browser holds the same value, for the life of this process.
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or web socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/login":
            await (await self._login(Request(scope, receive)))(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/logout":
            await _signed_out(Request(scope))(scope, receive, send)
        elif scope["path"] in OPEN_PATHS or self._is_allowed(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _close(receive, send)
        else:
            await self._refuse(scope)(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(token.strip())
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._session.encode())

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), self._token_sha256)

    def _refuse(self, scope: Scope) -> Response:
        if scope["path"].startswith("/api/"):
            body = {"error": "this needs the header `Authorization: Bearer TOKEN` with the token of this summarizer"}
            return JSONResponse(body, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return RedirectResponse(f"/login{_kept(scope)}", status_code=303)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return _login_page(request, "")
        try:
            with self._peers.admitted(address_of(request.scope), SIGN_IN), anyio.fail_after(_FORM_SECONDS):
                return await self._sign_in(request)
        except TimeoutError:
            return _login_page(request, _WRONG, 408)
        except Busy:
            answer = _login_page(request, _TOO_OFTEN, 429)
            answer.headers.update(RETRY_AFTER)
            return answer

    async def _sign_in(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_FORM:
                return _login_page(request, _WRONG, 413)
        form = dict(parse_qsl(body.decode("utf-8", errors="replace")))
        if self._is_token(form.get("token", "").strip()):
            return self._signed_in(request.scope)
        return _login_page(request, _WRONG, 403)

    def _signed_in(self, scope: Scope) -> Response:
        answer = RedirectResponse(f"/{_kept(scope)}", status_code=303)
        answer.set_cookie(
            _COOKIE,
            self._session,
            max_age=_SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=True,
        )
        return answer


def _kept(scope: Scope) -> str:
    """Return the part of a query that a link's reader finds again after signing in; never a token."""
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    kept = urlencode([(name, value) for name, value in query if name in _CHOICES])
    return f"?{kept}" if kept else ""


def _login_page(request: Request, notice: str, status: int = 200) -> Response:
    invalid = ' aria-invalid="true" aria-describedby="wrong"' if notice == _WRONG else ""
    query = html.escape(_kept(request.scope))
    return HTMLResponse(_LOGIN_PAGE.format(notice=notice, query=query, invalid=invalid), status_code=status)


def _signed_out(request: Request) -> Response:
    """Take the session from this browser; the token itself stays what it is."""
    answer = _login_page(request, _SIGNED_OUT)
    answer.delete_cookie(_COOKIE, httponly=True, samesite="strict", secure=True)
    return answer


async def _close(receive: Receive, send: Send) -> None:
    """Refuse a web socket: policy violation, RFC 6455 section 7.4.1."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})
