"""The API: what it tells, what it takes, and that its description says the same."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from itertools import islice

import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.testclient import TestClient

from summarizer import api
from summarizer.card import ModelCard
from summarizer.context import Context
from summarizer.evidence import EvidenceDesk
from summarizer.extraction.reasons import Reason
from summarizer.guard import Guarded
from summarizer.jobs import Jobs, JobState, Length, Request, Result
from summarizer.models import OfferedModel
from summarizer.progress import ListedDocument, Progress, State

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
FIRST = Result(Request(1, "bart", Length.LONG), Guarded("A short one.", "Passed", 2), 0.5, NOW)


@pytest.fixture
def context(settings) -> Context:
    context = Context(settings, Progress(), Jobs(now=lambda: NOW))
    context.progress.update(
        state=State.READY,
        reason="All 1 documents are summarized.",
        documents=(
            ListedDocument(1, "Document 1", "txt", 600, file_system="legal"),
            ListedDocument(2, "Document 2", "pdf", 0, 0, Reason.ENCRYPTED, "legal"),
            ListedDocument(3, "Document 3", "eml", 50, 1, file_system="sales"),
        ),
        skipped=2,
        models=(
            OfferedModel("bart", ModelCard("BART", "It copies."), "a" * 64, "ctranslate2"),
            OfferedModel("t5", ModelCard("T5", "", (("Architecture", "T5"),)), "b" * 64),
        ),
    )
    context.jobs.open({1: 600, 3: 50})
    context.jobs.done(FIRST)
    return context


@pytest.fixture
def client(context) -> TestClient:
    return TestClient(Starlette(routes=api.routes(context)))


def test_readiness_follows_the_state_and_health_does_not(client, context) -> None:
    for state in State:
        context.progress.update(state=state)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == (200 if state is State.READY else 503)


def test_the_summaries_come_with_model_engine_and_verdict(client) -> None:
    assert client.get("/api/summaries").json() == {
        "state": "Ready",
        "reason": "All 1 documents are summarized.",
        "profile": "Restricted",
        "model": {"name": "BART", "manifest": "a" * 64, "notice": "It copies."},
        "engine": "ctranslate2",
        "documents": {"found": 2, "summarized": 1, "skipped": 2, "unreadable": 1, "versions": {}},
        "shard": None,
        "summaries": [
            {
                "number": 1,
                "document": "Document 1",
                "fileSystem": "legal",
                "model": "bart",
                "length": "long",
                "summary": "A short one.",
                "words": 3,
                "sourceWords": 600,
                "unreadParts": 0,
                "seconds": 0.5,
                "finished": "2026-01-02T03:04:00Z",
                "guard": {"verdict": "Passed", "longestRun": 2, "limit": 30},
            }
        ],
        "unreadable": [
            {
                "number": 2,
                "document": "Document 2",
                "fileSystem": "legal",
                "reason": "is encrypted: seal it without its password",
            }
        ],
    }
    status = client.get("/api/status")
    assert "A short one." not in status.text
    assert "Document 1" not in status.text
    assert status.json()["documents"]["summarized"] == 1


def test_the_documents_of_one_file_system_can_be_asked_for_and_shown_alone(client, context) -> None:
    assert [one["fileSystem"] for one in client.get("/api/documents").json()["documents"]] == [
        "legal",
        "legal",
        "sales",
    ]
    job = client.post("/api/jobs", json={"fileSystem": "sales", "models": ["t5"]}).json()
    assert job["summaries"] == 1
    context.jobs.done(Result(Request(3, "t5", Length.LONG), Guarded("Sold.", "Passed", 1), 0.5, NOW))
    shown = client.get("/api/summaries", params={"fileSystem": "sales"}).json()["summaries"]
    assert [(one["number"], one["fileSystem"]) for one in shown] == [(3, "sales")]
    assert client.get("/api/summaries", params={"fileSystem": "none"}).json()["summaries"] == []
    for wrong in ({"fileSystem": "none"}, {"fileSystem": "sales", "documents": [1]}):
        assert client.post("/api/jobs", json=wrong).status_code == 404


def test_documents_and_models_are_listed_with_what_can_be_asked_for(client) -> None:
    documents = client.get("/api/documents").json()["documents"]
    assert [(one["number"], one["kind"], one["words"], one["reason"]) for one in documents] == [
        (1, "txt", 600, None),
        (2, "pdf", 0, "is encrypted: seal it without its password"),
        (3, "eml", 50, None),
    ]
    offered = client.get("/api/models").json()
    assert [(one["name"], one["title"], one["loaded"], one["default"]) for one in offered["models"]] == [
        ("bart", "BART", True, True),
        ("t5", "T5", False, False),
    ]
    assert offered["lengths"] == [
        {"name": "short", "words": 36},
        {"name": "medium", "words": 72},
        {"name": "long", "words": 120},
    ]


def test_a_job_is_asked_for_watched_and_cancelled(client, context) -> None:
    answer = client.post("/api/jobs", json={"models": ["t5", "bart"]})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["state"], job["summaries"], job["done"]) == ("Waiting", 4, 1)
    context.jobs.done(Result(Request(3, "t5", Length.LONG), Guarded("Other.", "Passed", 0), 0.1, NOW))
    watched = client.get(f"/api/jobs/{job['id']}").json()
    assert [one["summary"] for one in watched["summaries"]] == ["A short one.", "Other."]
    assert client.delete(f"/api/jobs/{job['id']}").json()["job"]["state"] == "Cancelled"
    assert [one["id"] for one in client.get("/api/jobs").json()["jobs"]] == [job["id"]]
    assert client.get("/api/jobs/other").status_code == client.delete("/api/jobs/other").status_code == 404


def test_a_job_is_cancelled_only_from_where_it_was_asked_for(client, context) -> None:
    job = context.jobs.submit("192.0.2.7", [Request(1, "t5", Length.LONG)])
    refused = client.delete(f"/api/jobs/{job.id}")
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "this job can be cancelled only from the address that asked for it",
    )
    assert context.jobs.view(job.id).state is JobState.WAITING


def test_who_waits_gets_the_summaries_in_one_answer(client, context) -> None:
    answer = client.post("/api/summarize", json={"documents": [1]})
    assert answer.status_code == 200
    assert answer.json()["summaries"][0]["summary"] == "A short one."


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"documents": [2]}, 404),
        ({"documents": [99]}, 404),
        ({"models": ["gpt"]}, 404),
        ({"length": "endless"}, 400),
        ({"documents": "some"}, 400),
        ({"document": 1}, 400),
        ([], 400),
        ({"documents": [1] * 2000}, 400),
        ({"models": ["x" * 100_000]}, 413),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused_with_a_reason(client, body, status) -> None:
    answer = client.post("/api/jobs", json=body)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)
    assert "gpt" not in answer.text


def test_a_form_of_another_site_is_no_request(client) -> None:
    answer = client.post("/api/jobs", content=b'{"documents": "all"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400


def test_a_reader_with_too_many_jobs_is_told_to_wait(client) -> None:
    codes = [client.post("/api/jobs", json={"models": ["t5"]}).status_code for _ in range(11)]
    assert codes == [202] * 10 + [429]


def test_summaries_are_selected_and_kept_as_files(client) -> None:
    assert len(client.get("/api/summaries?document=1&model=bart&length=long").json()["summaries"]) == 1
    assert client.get("/api/summaries?model=t5").json()["summaries"] == []
    assert client.get("/api/summaries?document=first").status_code == 400
    assert client.get("/api/summaries?format=pdf").status_code == 400
    file = client.get("/api/summaries?format=csv")
    assert file.headers["content-disposition"] == 'attachment; filename="summaries.csv"'
    assert "A short one." in file.text


def test_metrics_count_and_name_nothing(client) -> None:
    text = client.get("/metrics").text
    assert "summarizer_ready 1\n" in text
    assert 'summarizer_summaries_total{verdict="Passed"} 1\n' in text
    assert "Document 1" not in text


def test_the_description_is_valid_and_names_every_call(client, context) -> None:
    document = client.get("/api/openapi.json").json()
    validate(document)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(operation.method, operation.path) for operation in api.operations(context)}
    assert document["paths"]["/api/jobs"]["post"]["responses"].keys() == {"202", "400", "401", "404", "413", "429"}


def test_evidence_needs_a_fresh_looking_nonce_and_an_authority(client) -> None:
    assert client.get("/api/evidence").status_code == 400
    answer = client.get("/api/evidence", params={"nonce": "a" * 43})
    assert answer.status_code == 404
    assert "SUMMARIZER_MAA" in answer.json()["error"]


def test_those_who_ask_for_evidence_queue_and_a_long_queue_is_refused(settings) -> None:
    first, release, asked = threading.Event(), threading.Event(), []

    def slow(data: bytes) -> str:
        asked.append(json.loads(data))
        first.set()
        release.wait(20)
        return "h.p.s"

    context = Context(settings, Progress(), desk=EvidenceDesk(slow, "ee" * 32))
    client = TestClient(Starlette(routes=api.routes(context)))

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
