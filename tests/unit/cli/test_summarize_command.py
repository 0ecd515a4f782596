"""`csum summarize`: what is asked for, printed and cancelled, over a channel to a group that proves itself."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from confidential_summarizer.cli.open import asking
from confidential_summarizer.cli.open.peers import Peers, Refused
from confidential_summarizer.cli.open.proxy import Channel
from confidential_summarizer.cli.question import Asked
from confidential_summarizer.errors import AccessDenied, SpecError, TransientError
from tests.support.approving import resource_file
from tests.support.data_owner import csum
from tests.support.resources import ATTESTATION
from tests.unit.cli.test_open_channel import Group, approved, behind_one_address, prover
from tests.unit.targets.test_batch import DOCUMENTS

SUMMARY = {
    "number": 1,
    "document": "Document 1",
    "fileSystem": "legal",
    "model": "bart",
    "summary": "A \x1b[2J short one.",
}


@dataclass
class Summarizing(Group):
    """A group with the API for jobs; one is finished at the second look, unless it never is."""

    endless: bool = False
    status: int = 202
    asked: list[Any] = field(default_factory=list)
    looks: int = 0
    looked_twice: asyncio.Event = field(default_factory=asyncio.Event)

    async def page(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, request.headers.get("Authorization")))
        if request.method == "POST":
            self.asked.append(await request.json())
            return web.json_response({"id": "j1", "error": "not offered"}, status=self.status)
        self.looks += request.method == "GET"
        if self.looks > 1:
            self.looked_twice.set()
        state = "Cancelled" if request.method == "DELETE" else "Running"
        if self.looks > 1 and not self.endless:
            state = "Finished"
        job = {"id": "j1", "state": state, "summaries": 1, "done": int(state == "Finished"), "failed": []}
        return web.json_response({"job": job, "summaries": [SUMMARY] if state == "Finished" else []})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "POLL_SECONDS", 0.01)


async def ask(group: Summarizing, **wanted: Any) -> dict[str, Any]:
    async with behind_one_address(a=group) as address:
        channel = Channel(f"https://127.0.0.1:{address.port}", Peers(prover(address, group), approved), "token")
        return await asking.ask(channel, wanted)


async def test_what_is_wanted_is_asked_for_and_waited_for() -> None:
    group = Summarizing()
    answer = await ask(group, documents=[1], length="short")
    assert answer["summaries"] == [SUMMARY]
    assert group.asked[:2] == [("POST", "/api/jobs", "Bearer token"), {"documents": [1], "length": "short"}]


async def test_a_group_that_does_not_prove_itself_is_asked_for_nothing() -> None:
    group = Summarizing(genuine=False)
    with pytest.raises(Refused, match="not the group that was approved"):
        await ask(group)
    assert group.asked == []


async def test_an_interruption_cancels_what_was_asked_for() -> None:
    group = Summarizing(endless=True)
    task = asyncio.create_task(ask(group))
    await group.looked_twice.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert group.asked[-1] == ("DELETE", "/api/jobs/j1", "Bearer token")


@pytest.mark.parametrize(
    ("status", "error"), [(401, AccessDenied), (404, SpecError), (400, SpecError), (429, TransientError)]
)
async def test_a_refusal_ends_with_what_to_do(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        await ask(Summarizing(status=status))


@pytest.mark.parametrize(("failed", "code"), [([], 0), ([{"number": 2, "model": "bart", "reason": "broken"}], 1)])
def test_summaries_are_printed_and_failures_end_with_1(
    failed: list[Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[Any] = []

    async def answered(_channel: object, body: Any) -> Any:
        wanted.append(body)
        return {"job": {"state": "Finished", "failed": failed}, "summaries": [SUMMARY]}

    monkeypatch.setattr(Asked, "question", lambda _: SimpleNamespace(url="https://10.0.0.7:8501"))
    monkeypatch.setattr(asking, "ask", answered)
    options = ("--document", 1, "--file-system", "legal", "--model", "bart")
    made = csum("summarize", "https://10.0.0.7:8501", *options, "-o", "json")
    assert (made.code, made.data["summaries"]) == (code, [SUMMARY])
    assert wanted == [{"documents": [1], "models": ["bart"], "length": "long", "fileSystem": "legal"}]
    shown = csum("summarize", "https://10.0.0.7:8501")
    assert "\x1b" not in shown.out
    assert "Document 1 (legal)" in shown.out


def test_a_batch_is_said_to_have_no_page(tmp_path: Path) -> None:
    file = resource_file(tmp_path, batch={"shards": 2}, fileSystems=DOCUMENTS)

    refused = csum("summarize", file, "--host-data", "aa" * 32, "--attestation", ATTESTATION)

    assert refused.code == 3
    assert "legal/contracts is a batch, which has no page: `csum results fetch` has what it made." in refused.err
