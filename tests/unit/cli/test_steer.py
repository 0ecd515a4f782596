"""`csum pause`, `resume`, `reconcile` and `resolve` against an operator that answers, and one that does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from confidential_summarizer.api.names import PAUSE_ANNOTATION, RECONCILE_ANNOTATION
from confidential_summarizer.cli import steer
from confidential_summarizer.cli.steer import request
from confidential_summarizer.errors import NotFound, TransientError
from tests.support.data_owner import csum
from tests.support.fakes import FakeKube
from tests.support.resources import document


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    fake = FakeKube()
    fake.put(document())

    @asynccontextmanager
    async def connected() -> AsyncIterator[FakeKube]:
        yield fake

    monkeypatch.setattr(steer, "cluster", connected)
    monkeypatch.setattr(steer, "POLL_SECONDS", 0.001)
    return fake


def held(kube: FakeKube) -> dict[str, Any]:
    return kube.objects["ConfidentialSummarizer", "legal", "contracts"]


async def answer(kube: FakeKube, status: str) -> None:
    """Be the operator: obey the request, and say where the resource stands."""
    while not (asked := held(kube)["metadata"].get("annotations", {}).get(RECONCILE_ANNOTATION)):  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0)
    ready = {"type": "Ready", "status": status, "reason": "R", "message": "m"}
    held(kube)["status"] = {"lastHandledReconcileAt": asked, "conditions": [ready]}


def ask(kube: FakeKube, name: str = "contracts", seconds: float = 5.0) -> Any:
    return request(kube, "legal", name, RECONCILE_ANNOTATION, "lastHandledReconcileAt", seconds)


@pytest.mark.parametrize(("status", "code"), [("True", 0), ("False", 1)])
async def test_reconcile_waits_for_the_answer_and_says_whether_it_is_ready(
    kube: FakeKube, status: str, code: int
) -> None:
    found, _ = await asyncio.gather(ask(kube), answer(kube, status))
    assert found == code


async def test_an_operator_that_does_not_answer_is_said_so(kube: FakeKube) -> None:
    with pytest.raises(TransientError, match="csum why contracts -n legal"):
        await ask(kube, seconds=0.01)


async def test_a_resource_that_is_not_there_is_said_so(kube: FakeKube) -> None:
    with pytest.raises(NotFound, match="legal/other"):
        await ask(kube, "other")


def test_pause_and_resume_change_the_annotation_and_nothing_else(kube: FakeKube) -> None:
    before = held(kube)["spec"]
    assert csum("pause", "contracts", "-n", "legal").code == 0
    assert held(kube)["metadata"]["annotations"][PAUSE_ANNOTATION] == "true"
    assert csum("resume", "contracts", "-n", "legal").code == 0
    assert not held(kube)["metadata"]["annotations"].get(PAUSE_ANNOTATION)
    assert held(kube)["spec"] == before
