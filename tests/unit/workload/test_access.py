import hashlib

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from summarizer.access import SameOriginSockets, SecurityHeaders, TokenAccess

TOKEN = "correct horse battery staple"


async def page(request):
    return PlainTextResponse("summaries")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("summaries")
    await websocket.close()


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[
            *(
                Route(path, page, methods=["GET", "POST"])
                for path in ("/", "/api/summaries", "/api/status", "/api/evidence", "/healthz", "/static/a.js")
            ),
            WebSocketRoute("/_stcore/stream", socket),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(SameOriginSockets),
            Middleware(TokenAccess, token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest()),
        ],
    )
    return TestClient(app, follow_redirects=False)


def test_without_a_token_only_probes_state_and_evidence_answer(client) -> None:
    assert client.get("/api/summaries").status_code == 401
    assert client.get("/").headers["location"] == "/login"
    assert client.get("/static/a.js").status_code == 303
    for path in ("/healthz", "/api/status", "/api/evidence"):
        assert client.get(path).status_code == 200


def test_a_program_sends_the_token_as_a_bearer(client) -> None:
    assert client.get("/api/summaries", headers={"Authorization": f"Bearer {TOKEN}"}).text == "summaries"
    assert client.get("/api/summaries", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_link_with_the_token_signs_a_browser_in_and_drops_the_token(client) -> None:
    answer = client.get("/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert TOKEN not in answer.headers["set-cookie"]
    assert client.get("/").text == "summaries"


def test_the_sign_in_form_takes_the_token(client) -> None:
    assert "<form" in client.get("/login").text
    refused = client.post("/login", data={"token": "wrong"})
    assert refused.status_code == 403
    assert "not the token" in refused.text
    assert client.post("/login", data={"token": TOKEN}).status_code == 303
    assert client.get("/").text == "summaries"


def test_an_oversized_sign_in_is_refused(client) -> None:
    assert client.post("/login", data={"token": "x" * 10_000}).status_code == 413


def test_a_made_up_cookie_is_refused(client) -> None:
    assert client.get("/", headers={"Cookie": "summarizer_session=guess"}).status_code == 303
    assert client.get("/", headers={"Cookie": b"summarizer_session=\x80"}).status_code == 303


def test_the_web_socket_needs_the_session_too(client) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream"):
        pass
    client.post("/login", data={"token": TOKEN})
    with client.websocket_connect("/_stcore/stream", headers={"Origin": "http://testserver"}) as session:
        assert session.receive_text() == "summaries"


def test_another_sites_web_socket_is_refused_even_with_a_session(client) -> None:
    client.post("/login", data={"token": TOKEN})
    headers = {"Origin": "http://evil.example"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_stcore/stream", headers=headers):
        pass


def test_answers_are_not_framed_sniffed_or_stored(client) -> None:
    headers = client.get("/api/summaries", headers={"Authorization": f"Bearer {TOKEN}"}).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
