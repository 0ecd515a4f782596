"""`csum why`: the chain of conditions, the next command, and the events beside it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from confidential_summarizer.cli import why as command
from confidential_summarizer.cli.why import Why, look
from confidential_summarizer.errors import NotFound
from confidential_summarizer.kube import SUMMARIZER
from tests.support.data_owner import csum
from tests.support.fakes import FakeKube
from tests.support.resources import document

UIDS = {"contracts": document()["metadata"]["uid"], "contracts-1": "pod-uid"}
APPROVE = "csum key approve legal/contracts --expect-host-data " + "ab" * 32


def condition(kind: str, status: str, reason: str, message: str = "said") -> dict[str, Any]:
    time = "2026-11-24T12:00:00Z"
    given = {"type": kind, "status": status, "reason": reason, "message": message}
    return given | {"lastTransitionTime": time, "observedGeneration": 1}


def event(about: str, name: str, message: str, minute: int = 0, uid: str = "") -> dict[str, Any]:
    return {
        "kind": "Event",
        "metadata": {"name": f"{name}.{minute}", "namespace": "legal"},
        "involvedObject": {"kind": about, "name": name, "uid": uid or UIDS.get(name)},
        "type": "Warning",
        "reason": "Failed",
        "message": message,
        "lastTimestamp": f"2026-11-24T12:{minute:02}:00Z",
    }


def cluster(*conditions: dict[str, Any], observed: int = 1) -> FakeKube:
    kube = FakeKube()
    kube.put(document(status={"observedGeneration": observed, "conditions": list(conditions)}))
    labels = {"app.kubernetes.io/instance": "contracts", "app.kubernetes.io/managed-by": "confidential-summarizer"}
    pod = {"name": "contracts-1", "namespace": "legal", "uid": "pod-uid", "labels": labels}
    kube.put({"kind": "Pod", "metadata": pod})
    return kube


WAITING = (
    condition("Ready", "False", "AwaitingApproval", f"the data owner has to run `{APPROVE}`"),
    condition("ImagesResolved", "True", "Resolved"),
    condition("KeyReleasable", "False", "AwaitingApproval", f"the data owner has to run `{APPROVE}`"),
    condition("Deployed", "Unknown", "Pending", "waits for KeyReleasable"),
)
READY = (condition("Ready", "True", "Ready", "summaries are served"), condition("Deployed", "True", "RolledOut"))


async def said(kube: FakeKube) -> Why:
    return await look(kube, "legal", "contracts")


async def test_the_next_command_is_that_of_the_first_that_is_not_done() -> None:
    found = await said(cluster(*WAITING))
    assert not found.ready
    assert [c.type for c in found.chain] == ["ImagesResolved", "KeyReleasable", "Deployed"]
    assert found.commands == [APPROVE]


async def test_a_ready_resource_needs_no_command() -> None:
    found = await said(cluster(*READY))
    assert (found.ready, found.commands) == (True, [])


async def test_a_spec_that_cannot_be_read_hides_nothing_of_what_is_said_about_it() -> None:
    kube = cluster(condition("Ready", "False", "InvalidSpec", "spec.summarizer.guard: Input should be an object"))
    kube.objects[SUMMARIZER.kind, "legal", "contracts"]["spec"]["summarizer"] = {"guard": "report"}
    found = await said(kube)
    assert (found.ready, "spec.summarizer.guard" in found.summary) == (False, True)


async def test_a_status_of_an_earlier_generation_is_said_to_be_one() -> None:
    assert "latest change" in (await said(cluster(*READY, observed=0))).summary


async def test_a_deletion_that_nobody_works_on_leads_to_the_operator() -> None:
    kube = cluster(*READY)
    gone = document(status={"observedGeneration": 1, "conditions": list(READY)}, generation=2)
    gone["metadata"]["deletionTimestamp"] = "2026-11-24T13:00:00Z"
    kube.put(gone)
    found = await said(kube)
    assert not found.ready
    assert "has not looked at its deletion of 2026-11-24T13:00:00Z yet: is it running?" in found.summary
    assert found.commands == ["kubectl get pods -A | grep summarizer"]


async def test_without_any_status_the_operator_is_asked_for() -> None:
    found = await said(cluster())
    assert "has not looked at it yet" in found.summary
    assert found.commands == ["kubectl get pods -A | grep summarizer"]


async def test_events_of_the_resource_and_its_pods_stand_beside_it_and_no_others() -> None:
    kube = cluster(*WAITING)
    kube.put(event("Pod", "contracts-1", "image pull failed", 5))
    kube.put(event("ConfidentialSummarizer", "contracts", "waits", 3))
    kube.put(event("Pod", "somebody-else", "theirs", 4))
    kube.put(event("ConfidentialSummarizer", "contracts", "of one that was deleted", 2, uid="earlier"))
    assert [(e.object, e.message) for e in (await said(kube)).beside] == [
        ("ConfidentialSummarizer/contracts", "waits"),
        ("Pod/contracts-1", "image pull failed"),
    ]


async def test_a_denial_in_an_event_is_decoded() -> None:
    decision = {"decision": "deny", "reason": {"errors": ["invalid command"]}, "input": {"rule": "create_container"}}
    blob = base64.b64encode(json.dumps(decision).encode()).decode()
    kube = cluster(*WAITING)
    kube.put(event("Pod", "contracts-1", f"failed: policyDecision< {blob} >policyDecision"))
    (beside,) = (await said(kube)).beside
    assert "invalid command" in beside.message
    assert "policyDecision" not in beside.message


async def test_a_resource_that_is_not_there_is_said_so() -> None:
    with pytest.raises(NotFound, match="legal/other is not in the cluster"):
        await look(cluster(), "legal", "other")


@pytest.mark.parametrize(("conditions", "code"), [(READY, 0), (WAITING, 1)])
def test_the_exit_code_says_whether_it_is_ready(
    conditions: tuple[dict[str, Any], ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def connected() -> AsyncIterator[FakeKube]:
        yield cluster(*conditions)

    monkeypatch.setattr(command, "cluster", connected)
    result = csum("why", "contracts", "-n", "legal")
    assert result.code == code
    assert ("next: " + APPROVE in result.err) is (code == 1)
    assert csum("why", "legal/contracts", "-o", "json").code == code
