"""A pod's state, as a group people can read."""

import base64
import json
from typing import Any

import pytest

from confidential_summarizer.api.names import HOST_DATA_ANNOTATION
from confidential_summarizer.targets.observation import GroupPhase
from confidential_summarizer.targets.virtual_node.rendering import INDEX_ANNOTATION
from confidential_summarizer.targets.virtual_node.state import counts, group

DENIAL = base64.b64encode(
    json.dumps(
        {
            "decision": "deny",
            "input": {"rule": "mount_device", "deviceHash": "ab" * 32},
            "reason": {"errors": ["deviceHash not found"]},
        }
    ).encode()
).decode()
DENIED = f"failed to create containerd task: guest RPC failure: denied due to policy: policyDecision< {DENIAL} >policyDecision: unknown"


def pod(*, phase: str = "Pending", ready: bool = False, ip: str | None = None, deleted: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": "contracts-1",
        "namespace": "legal",
        "uid": "u",
        "annotations": {HOST_DATA_ANNOTATION: "ab" * 32},
    }
    if deleted:
        meta["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": meta, "status": {"phase": phase, "conditions": conditions} | ({"podIP": ip} if ip else {})}


@pytest.mark.parametrize(
    ("document", "messages", "phase"),
    [
        (pod(), [], GroupPhase.STARTING),
        (pod(phase="Running"), [], GroupPhase.RUNNING),
        (pod(phase="Running", ready=True), [], GroupPhase.READY),
        (pod(phase="Failed"), ["no capacity"], GroupPhase.FAILED),
        (pod(phase="Running", ready=True, deleted=True), [], GroupPhase.LEAVING),
        (pod(), [DENIED], GroupPhase.DENIED),
    ],
    ids=["pending", "running", "ready", "failed", "leaving", "denied"],
)
def test_a_pod_is_as_far_as_its_state_says(document: dict[str, Any], messages: list[str], phase: GroupPhase) -> None:
    assert group(document, messages).phase is phase


@pytest.mark.parametrize(("written", "shard"), [("7", 7), ("²", None), ("9" * 5000, None), ("-1", None)])
def test_a_pods_shard_is_a_number_or_none_whatever_somebody_writes_there(written: str, shard: int | None) -> None:
    document = pod()
    document["metadata"]["annotations"][INDEX_ANNOTATION] = written
    assert group(document, []).shard == shard


def test_a_job_without_its_annotations_counts_for_nothing() -> None:
    assert not counts({"metadata": {"name": "contracts"}}, "ab" * 32)


def test_a_denial_is_told_in_words_with_what_to_do() -> None:
    message = group(pod(), [DENIED]).message
    assert "deviceHash not found" in message
    assert "ab" * 32 in message
    assert "digest" in message


def test_a_ready_pod_is_not_denied_for_what_it_once_said() -> None:
    assert group(pod(phase="Running", ready=True), [DENIED]).phase is GroupPhase.READY


def test_the_address_is_that_of_the_page() -> None:
    assert group(pod(phase="Running", ip="10.0.0.7"), []).address == "10.0.0.7:8501"


def test_an_unschedulable_pod_says_why() -> None:
    document = pod()
    document["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    )
    assert "0/1 nodes are available" in group(document, []).message
