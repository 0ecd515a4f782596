import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from summarizer import api
from summarizer.card import ModelCard
from summarizer.evidence import EvidenceDesk
from summarizer.guard import Guarded
from summarizer.progress import DocumentSummary, Progress, State


@pytest.fixture
def progress() -> Progress:
    return Progress()


@pytest.fixture
def client(settings, progress) -> TestClient:
    return TestClient(Starlette(routes=api.routes(settings, progress, None)))


def test_readiness_follows_the_state_and_health_does_not(client, progress) -> None:
    for state in State:
        progress.update(state=state)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == (200 if state is State.READY else 503)


def test_the_summaries_come_with_model_engine_and_verdict(client, progress) -> None:
    progress.update(
        state=State.READY,
        reason="All 1 documents are summarized.",
        summaries=(DocumentSummary("Document 1", 600, 0, Guarded("A short one.", "Passed", 2)),),
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
        "documents": {"found": 1, "summarized": 1, "skipped": 2, "unreadable": 0, "version": None},
        "summaries": [
            {
                "document": "Document 1",
                "summary": "A short one.",
                "words": 3,
                "sourceWords": 600,
                "unreadParts": 0,
                "guard": {"verdict": "Passed", "longestRun": 2, "limit": 30},
            }
        ],
        "unreadable": [],
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


def test_those_who_ask_for_evidence_queue_and_a_long_queue_is_refused(settings, progress) -> None:
    first, release, asked = threading.Event(), threading.Event(), []

    def slow(data: bytes) -> str:
        asked.append(json.loads(data))
        first.set()
        release.wait(20)
        return "h.p.s"

    client = TestClient(Starlette(routes=api.routes(settings, progress, EvidenceDesk(slow, "ee" * 32))))

    def ask(number: int) -> int:
        return client.get("/api/evidence", params={"nonce": f"{number:043d}"}).status_code

    with ThreadPoolExecutor(12) as readers:
        answers = [readers.submit(ask, number) for number in range(12)]
        first.wait(20)
        refused = [answer.result(20) for answer in islice(as_completed(answers, 20), 3)]
        release.set()
        codes = [answer.result(20) for answer in answers]
    assert refused == [429] * 3
    assert sorted(codes) == [200] * 9 + [429] * 3
    assert len({data["nonce"] for data in asked}) == len(asked) == 9
    assert {data["tlsSPKI"] for data in asked} == {"ee" * 32}
