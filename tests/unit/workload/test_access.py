import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from summarizer import access
from summarizer.access import KnownHosts, SameOriginSockets, SecurityHeaders, TokenAccess
from summarizer.peers import EVIDENCE, SIGN_IN, Peers
from summarizer.throttle import PeerLimits

TOKEN = "correct horse battery staple"


async def page(request):
    return PlainTextResponse("summaries")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("summaries")
    await websocket.close()


OPEN_WITHOUT_A_TOKEN = ("/healthz", "/readyz", "/metrics", "/_stcore/health", "/api/status", "/api/evidence")


@pytest.fixture
def client() -> TestClient:
    peers = Peers()
    app = Starlette(
        routes=[
            *(
                Route(path, page, methods=["GET", "POST"])
                for path in ("/", "/api/summaries", "/media/a.csv", "/static/a.js", *OPEN_WITHOUT_A_TOKEN)
            ),
            WebSocketRoute("/_stcore/stream", socket),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(KnownHosts),
            Middleware(SameOriginSockets),
            Middleware(PeerLimits, peers=peers),
            Middleware(TokenAccess, token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(), peers=peers),
        ],
    )
    return TestClient(app, base_url="https://testserver", follow_redirects=False)


def test_without_a_token_only_probes_state_and_evidence_answer(client) -> None:
    assert client.get("/api/summaries").status_code == 401
    assert client.get("/").headers["location"] == "/login"
    assert client.get("/static/a.js").status_code == 303
    for path in OPEN_WITHOUT_A_TOKEN:  # a redirect to the sign-in would count as success to a probe
        assert client.get(path).status_code == 200


def test_a_program_sends_the_token_as_a_bearer(client) -> None:
    assert client.get("/api/summaries", headers={"Authorization": f"Bearer {TOKEN}"}).text == "summaries"
    refused = client.get("/api/summaries", headers={"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer TOKEN" in refused.json()["error"]


def test_no_url_takes_the_token(client) -> None:
    answer = client.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "set-cookie" not in answer.headers


def test_the_session_is_a_cookie_that_only_this_page_gets_and_no_script_reads(client) -> None:
    cookie = client.post("/login", data={"token": TOKEN}).headers["set-cookie"].lower()
    assert TOKEN not in cookie
    assert {"secure", "httponly", "samesite=strict", "max-age=43200"} <= {part.strip() for part in cookie.split(";")}


def test_the_sign_in_form_takes_the_token(client) -> None:
    form = client.get("/login")
    assert form.status_code == 200
    assert "<form" in form.text
    refused = client.post("/login", data={"token": "wrong"})
    assert refused.status_code == 403
    assert "not the token" in refused.text
    assert 'aria-invalid="true" aria-describedby="wrong"' in refused.text
    assert "aria-invalid" not in client.get("/login").text
    assert client.post("/login", data={"token": f" {TOKEN}\n"}).status_code == 303
    assert client.get("/").text == "summaries"


@pytest.mark.parametrize(("size", "status"), [(4096, 403), (4097, 413), (10_000, 413)])
def test_an_oversized_sign_in_is_refused(client, size: int, status: int) -> None:
    assert client.post("/login", content=b"token=".ljust(size, b"x")).status_code == status


@pytest.mark.parametrize("content", [b"token=\xff", b"", b"other=x"])
def test_a_sign_in_that_holds_no_token_is_a_wrong_one(client, content: bytes) -> None:
    assert client.post("/login", content=content).status_code == 403


async def test_a_sign_in_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_FORM_SECONDS", 0.01)
    answers, pieces = [], [{"type": "http.request", "body": b"token=", "more_body": True}]

    async def receive():
        return pieces.pop() if pieces else await asyncio.Event().wait()

    async def send(message) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": []}
    guarded = TokenAccess(PlainTextResponse("summaries"), hashlib.sha256(TOKEN.encode()).hexdigest(), Peers())
    await guarded({**scope, "client": ("10.0.0.1", 1)}, receive, send)
    assert answers[0]["status"] == 408
    assert b"<form" in answers[1]["body"]


def test_a_made_up_cookie_is_refused(client) -> None:
    assert client.get("/", headers={"Cookie": "summarizer_session=guess"}).status_code == 303
    assert client.get("/", headers={"Cookie": b"summarizer_session=\x80"}).status_code == 303


@pytest.mark.parametrize("cookie", ["a/b=1", "a,b=1; summarizer_session=guess", "summarizer_session=guess; a/b=1"])
def test_cookies_that_cannot_be_read_let_nobody_in(client, cookie: str) -> None:
    assert client.get("/", headers={"Cookie": cookie}).status_code == 303
    assert client.get("/api/summaries", headers={"Cookie": cookie}).status_code == 401


def test_a_program_is_let_in_by_its_token_whatever_its_cookies(client) -> None:
    headers = {"Authorization": f"bearer  {TOKEN} ", "Cookie": "a/b=1"}
    assert client.get("/api/summaries", headers=headers).text == "summaries"


def test_a_wrong_token_is_refused_even_with_a_session(client) -> None:
    client.post("/login", data={"token": TOKEN})
    assert client.get("/api/summaries").status_code == 200
    assert client.get("/api/summaries", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_nothing_of_a_refused_socket_reaches_the_page() -> None:
    reached = []

    async def app(scope, receive, send) -> None:
        reached.append(scope["type"])

    guarded = TestClient(TokenAccess(app, hashlib.sha256(TOKEN.encode()).hexdigest(), Peers()))
    with pytest.raises(WebSocketDisconnect) as refused, guarded.websocket_connect("/_stcore/stream"):
        pass
    assert refused.value.code == 1008
    assert reached == []


def test_what_is_neither_a_request_nor_a_socket_passes(client) -> None:
    started = []

    @asynccontextmanager
    async def lifespan(_app) -> AsyncIterator[None]:
        started.append(True)
        yield

    guards = [
        Middleware(KnownHosts),
        Middleware(SameOriginSockets),
        Middleware(TokenAccess, token_sha256="ab" * 32, peers=Peers()),
    ]
    with TestClient(Starlette(lifespan=lifespan, middleware=guards)):
        assert started


def test_the_web_socket_needs_the_session_too(client) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass
    client.post("/login", data={"token": TOKEN})
    with client.websocket_connect(
        "wss://testserver/_stcore/stream", headers={"Origin": "https://testserver"}
    ) as session:
        assert session.receive_text() == "summaries"


def test_another_sites_web_socket_is_refused_even_with_a_session(client) -> None:
    client.post("/login", data={"token": TOKEN})
    headers = {"Origin": "http://evil.example"}
    url = "wss://testserver/_stcore/stream"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(url, headers=headers):
        pass


@pytest.mark.parametrize("path", ["/api/summaries", "/media/a.csv"])
def test_answers_are_not_framed_sniffed_or_stored(client, path: str) -> None:
    headers = client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.7:8501",
        "[::1]:8501",
        "localhost:4000",
        "localhost.:4000",
        "a1b2.localhost:4000",
        "contracts.legal.svc:8501",
        "contracts.legal.svc.cluster.local",
        "contracts.internal",
        "contracts.westeurope.azurecontainer.io",
    ],
)
def test_the_page_is_served_by_address_and_under_names_of_the_cluster(client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.7.evil.example:8501", "svc.evil.example", "", "[::1", ":8501"]
)
def test_a_name_that_a_visited_site_can_decide_is_refused(client, host: str) -> None:
    """DNS rebinding: the site's own name leads to this address, and the browser takes the page for the site's."""
    refused = client.get("/healthz", headers={"Host": host})
    assert refused.status_code == 421
    assert "csum open" in refused.text
    # Nobody else stands before this socket, who would refuse it for want of a session.
    bare = TestClient(KnownHosts(Starlette(routes=[WebSocketRoute("/_stcore/stream", socket)])))
    stream = bare.websocket_connect("/_stcore/stream", headers={"Host": host})
    with pytest.raises(WebSocketDisconnect) as closed, stream:
        pass
    assert closed.value.code == 1008


async def test_a_request_that_names_no_host_is_refused() -> None:
    answers = []

    async def send(message) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": []}
    await KnownHosts(PlainTextResponse("summaries"))(scope, None, send)
    assert answers[0]["status"] == 421


def test_who_signs_in_too_often_reads_so_on_the_form_while_others_sign_in() -> None:
    now = [0.0]
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    app = TokenAccess(Starlette(routes=[Route("/", page)]), sha256, Peers(lambda: now[0]))
    options = {"base_url": "https://testserver", "follow_redirects": False}
    one, other = (TestClient(app, client=(address, 1), **options) for address in ("10.0.0.1", "10.0.0.2"))

    def sign_in(client: TestClient):
        return client.post("/login?length=short", data={"token": TOKEN})

    answers = [sign_in(one) for _ in range(SIGN_IN.a_minute + 1)]
    assert [answer.status_code for answer in answers] == [303] * SIGN_IN.a_minute + [429]
    refused = answers[-1]
    assert refused.headers["content-type"].startswith("text/html")
    assert "too often. Try again in a minute" in refused.text
    assert 'action="/login?length=short"' in refused.text
    assert refused.headers["retry-after"] == "60"
    assert sign_in(other).status_code == 303
    now[0] += 60.0
    assert sign_in(one).status_code == 303


def test_asking_for_the_head_of_evidence_counts_as_asking_for_it() -> None:
    """A route for GET answers HEAD as well, and makes the evidence for it."""
    limited = TestClient(PeerLimits(Starlette(routes=[Route("/api/evidence", page, methods=["GET"])]), Peers()))
    most = EVIDENCE.a_minute
    assert [limited.head("/api/evidence").status_code for _ in range(most + 1)] == [200] * most + [429]
    assert limited.get("/api/evidence").status_code == 429


async def test_one_peer_cannot_fill_the_queue_for_evidence() -> None:
    """A queue of eight that one peer filled, a minute for each, kept `csum verify` away from everybody."""
    entered, release = asyncio.Semaphore(0), asyncio.Event()

    async def slow(_request):
        entered.release()
        await release.wait()
        return PlainTextResponse("evidence")

    app = PeerLimits(Starlette(routes=[Route("/api/evidence", slow)]), Peers())
    at_once = EVIDENCE.at_once

    async def ask(address: str) -> int:
        statuses = []

        async def send(message):
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "GET", "path": "/api/evidence", "query_string": b"", "headers": []}
        await app({**scope, "client": (address, 1)}, None, send)
        return statuses[0]

    waiting = [asyncio.create_task(ask("10.0.0.1")) for _ in range(at_once)]
    for _ in range(at_once):
        await asyncio.wait_for(entered.acquire(), 20)
    assert await ask("10.0.0.1") == 429
    other = asyncio.create_task(ask("10.0.0.2"))
    await asyncio.wait_for(entered.acquire(), 20)
    release.set()
    assert await asyncio.gather(*waiting, other) == [200] * (at_once + 1)


def test_what_a_link_asks_for_is_kept_over_the_sign_in(client) -> None:
    first = client.get("/?length=short&search=a%20%22%3E&token=secret&evil=1")
    assert first.headers["location"] == "/login?length=short&search=a+%22%3E"
    form = client.get(first.headers["location"]).text
    assert 'action="/login?length=short&amp;search=a+%22%3E"' in form
    after = client.post("/login?length=short&next=//evil.example", data={"token": TOKEN})
    assert after.headers["location"] == "/?length=short"


def test_signing_out_takes_the_session_from_the_browser(client) -> None:
    client.post("/login", data={"token": TOKEN})
    assert client.get("/").status_code == 200
    answer = client.get("/logout")
    assert "signed out" in answer.text
    assert '<form method="post" action="/login">' in answer.text
    assert "aria-invalid" not in answer.text
    cookie = {part.strip() for part in answer.headers["set-cookie"].lower().split(";")}
    assert {"max-age=0", "secure", "httponly", "samesite=strict"} <= cookie
    assert client.get("/").status_code == 303
