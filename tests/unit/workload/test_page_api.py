import asyncio
import threading

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from summarizer import api
from summarizer.card import ModelCard
from summarizer.evidence import Evidence
from summarizer.guard import Guarded
from summarizer.progress import DocumentSummary, Progress, State


@pytest.fixture
def progress() -> Progress:
    return Progress()


@pytest.fixture
def client(settings, progress) -> TestClient:
    return TestClient(Starlette(routes=api.routes(settings, progress)))


def test_readiness_follows_the_state_and_health_does_not(client, progress) -> None:
    for state in State:
        progress.update(state=state)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == (200 if state is State.READY else 503)


def test_the_summaries_come_with_model_engine_and_verdict(client, progress) -> None:
    progress.update(
        state=State.READY,
        reason="All 1 documents are summarized.",
        summaries=(DocumentSummary("Document 1", 600, Guarded("A short one.", "Passed", 2)),),
        documents=1,
        skipped=2,
        model=ModelCard("bart-demo", "It copies."),
        model_sha256="a" * 64,
        engine="ctranslate2",
    )
    assert client.get("/api/summaries").json() == {
        "state": "Ready",
        "reason": "All 1 documents are summarized.",
        "profile": "Restricted",
        "model": {"name": "bart-demo", "manifest": "a" * 64, "notice": "It copies."},
        "engine": "ctranslate2",
        "documents": {"found": 1, "summarized": 1, "skipped": 2},
        "summaries": [
            {
                "document": "Document 1",
                "summary": "A short one.",
                "words": 3,
                "sourceWords": 600,
                "guard": {"verdict": "Passed", "longestRun": 2, "limit": 30},
            }
        ],
    }
    status = client.get("/api/status")
    assert "A short one." not in status.text
    assert "Document 1" not in status.text
    assert status.json()["documents"]["summarized"] == 1


def test_evidence_needs_a_fresh_looking_nonce_and_an_authority(client) -> None:
    assert client.get("/api/evidence").status_code == 400
    answer = client.get("/api/evidence", params={"nonce": "a" * 43})
    assert answer.status_code == 404
    assert "SUMMARIZER_MAA" in answer.json()["error"]


async def test_those_who_ask_for_evidence_queue_and_a_long_queue_is_refused(settings, progress, monkeypatch) -> None:
    loop, first, release = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    asked: list[str] = []

    def slow(sidecar: str, authority: str, nonce: str) -> Evidence:
        asked.append(nonce)
        loop.call_soon_threadsafe(first.set)
        release.wait(20)
        return Evidence("h.p.s", "e30=")

    monkeypatch.setattr(api, "fetch_evidence", slow)
    settings = settings.model_copy(update={"maa": "sharedeus2.eus2.attest.azure.net"})
    app = Starlette(routes=api.routes(settings, progress))
    [handler] = [route.endpoint for route in app.routes if route.path == "/api/evidence"]

    def request(number: int) -> Request:
        return Request({"type": "http", "headers": [], "query_string": f"nonce={number:043d}".encode()})

    waiting = [asyncio.create_task(handler(request(number))) for number in range(9)]
    await asyncio.wait_for(first.wait(), 20)
    assert (await handler(request(9))).status_code == 429
    assert len(asked) == 1
    release.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert len(asked) == 9
