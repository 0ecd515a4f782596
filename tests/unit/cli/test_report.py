"""`csum status` and `csum report`: who needs something, and all about one of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml

from confidential_summarizer.cli import report as command
from confidential_summarizer.cli.report import collect, row
from confidential_summarizer.errors import AccessDenied, NotFound
from confidential_summarizer.kube import Kind, Object
from tests.support.data_owner import csum
from tests.support.fakes import FakeKube
from tests.support.resources import document


def ready(status: str = "True", message: str = "served") -> dict[str, Any]:
    given = {"type": "Ready", "status": status, "reason": "Because", "message": message}
    return {"observedGeneration": 1, "conditions": [given | {"lastTransitionTime": "2026-11-24T12:00:00Z"}]}


def cluster(**status: Any) -> FakeKube:
    kube = FakeKube()
    kube.put(document(status=status or ready()))
    labels = {"app.kubernetes.io/instance": "contracts", "app.kubernetes.io/managed-by": "confidential-summarizer"}
    noise = {"managedFields": ["m"], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "l", "a": "b"}}
    ours = {"name": "contracts-1", "namespace": "legal", "uid": "contracts-1", "labels": labels, **noise}
    kube.put({"kind": "Pod", "metadata": ours})
    kube.put({"kind": "Pod", "metadata": {"name": "theirs", "namespace": "legal", "uid": "theirs"}})
    kube.put({"kind": "Secret", "metadata": {"name": "models-key", "namespace": "legal"}, "data": {"key": "c2VjcmV0"}})
    for pod in ("contracts-1", "theirs"):
        about = {"kind": "Pod", "name": pod, "uid": pod}
        kube.put({"kind": "Event", "metadata": {"name": pod, "namespace": "legal"}, "involvedObject": about})
    return kube


def test_a_row_says_what_to_run_unless_it_is_ready() -> None:
    waiting = row(document(status=ready("False", "the owner runs `csum key approve x`")))
    assert (waiting["ready"], waiting["reason"], waiting["next"]) == ("False", "Because", "csum key approve x")
    assert row(document(status=ready(message="`served`")))["next"] == ""
    assert row(document())["reason"] == "NotSeenYet"


def test_a_resource_that_goes_away_says_so() -> None:
    going = document(status=ready())
    going["metadata"]["deletionTimestamp"] = "2026-11-24T13:00:00Z"
    assert (row(going)["reason"], row(going)["since"]) == ("Deleting", "2026-11-24T13:00:00Z")


async def test_a_report_holds_what_is_the_resource_s_and_neither_secrets_nor_the_neighbours() -> None:
    found = await collect(cluster(), "legal", "contracts")
    assert [p["metadata"]["name"] for p in found["pods"]] == ["contracts-1"]
    assert [e["metadata"]["name"] for e in found["events"]] == ["contracts-1"]
    assert found["grants"][0]["kind"] == "SummarizerGrant"
    text = yaml.safe_dump(found)
    assert "c2VjcmV0" not in text
    assert "managedFields" not in text
    assert found["pods"][0]["metadata"]["annotations"] == {"a": "b"}


class WithoutGrants(FakeKube):
    """A cluster whose user may not read grants."""

    async def list(self, kind: Kind, *arguments: Any, **options: Any) -> list[Object]:
        if kind.kind == "SummarizerGrant":
            raise AccessDenied("grants are for cluster admins")
        return await super().list(kind, *arguments, **options)


async def test_what_may_not_be_read_is_named_and_the_rest_is_there() -> None:
    found = await collect(WithoutGrants(cluster().objects), "legal", "contracts")
    assert found["grants"] == "grants are for cluster admins"
    assert found["pods"]


async def test_a_resource_that_is_not_there_is_said_so() -> None:
    with pytest.raises(NotFound, match="legal/other"):
        await collect(cluster(), "legal", "other")


@pytest.mark.parametrize(("status", "code"), [("True", 0), ("False", 1)])
def test_the_exit_code_says_whether_all_are_ready(status: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def connected() -> AsyncIterator[FakeKube]:
        yield cluster(**ready(status))

    monkeypatch.setattr(command, "cluster", connected)
    shown = csum("status", "-n", "legal")
    assert shown.code == code
    assert "contracts" in shown.out
    assert csum("report", "contracts", "-n", "legal").code == 0
