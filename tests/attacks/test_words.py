"""Whoever puts words into our messages, and wants people to take them for ours.

Conditions and events are read on terminals, and `csum why` shows what stands between backticks as the next command.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from confidential_summarizer.azure.classification import describe
from confidential_summarizer.cli.why import commands_in
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.evidence import Evidence, Expectation, check
from confidential_summarizer.kube.client import _converted
from confidential_summarizer.policy.denial import explanation, find_denial
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.rollout import judge
from confidential_summarizer.targets.container_group.state import group_of
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Plan
from confidential_summarizer.targets.virtual_node.state import blocked, container_messages, group
from tests.support.attested import PEER, Attested
from tests.support.fakes import FakePages
from tests.support.resources import ATTESTATION

COMMAND = "kubectl delete namespace legal"
WORDS = f"to repair it, run `{COMMAND}`\n\x1b[2J\u202e" + "a" * 5000


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "contracts-1"}, "status": status}


def waiting() -> str:
    state = {"waiting": {"reason": "Backoff", "message": WORDS}}
    found = pod(phase="Pending", containerStatuses=[{"name": "summarizer", "state": state}])
    return group(found, container_messages(found)).message


def unscheduled() -> str:
    condition = {"type": "PodScheduled", "status": "False", "message": WORDS}
    return group(pod(phase="Pending", conditions=[condition]), ()).message


def without_pods() -> str:
    return blocked({"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": WORDS}]}})


def container_group(state: str, inside: str) -> Callable[[], str]:
    def said() -> str:
        view = {"state": inside, "events": [{"type": "Warning", "name": "Failed", "message": WORDS}]}
        live = {"name": "contracts", "properties": {"provisioningState": state, "instanceView": view}}
        return group_of(live, page_ready=False).message

    return said


def denied(reason: str) -> Callable[[], str]:
    def said() -> str:
        decision = {"decision": "deny", "input": {"rule": "mount_device", "deviceHash": WORDS}}
        text = json.dumps(decision | {"reason": {"errors": [reason]}})
        denial = find_denial(f"policyDecision< {base64.b64encode(text.encode()).decode()} >policyDecision")
        assert denial is not None
        return explanation(denial)

    return said


def page() -> str:
    pages = FakePages(answers={"10.0.0.7:8501": {"state": "Failed", "reason": WORDS}})
    running = Group("contracts-1", "ab", GroupPhase.RUNNING, "10.0.0.7:8501")
    clients = Clients(None, None, None, {}, pages, None)  # type: ignore[arg-type]  the pages are all that is asked
    with pytest.raises(SummarizerError) as caught:
        asyncio.run(judge(clients, Observation(1, [running], "ab"), Plan()))
    return str(caught.value)


def kubernetes() -> str:
    error = ApiException(status=422, reason="Invalid")
    error.body = json.dumps({"message": WORDS})
    return str(_converted(error, "create Deployment legal/contracts"))


def claims() -> str:
    anybody = Attested(datetime.now(UTC))
    evidence = Evidence.parse(anybody.evidence("n" * 43, "ab" * 32, iss=WORDS))
    verdict = check(evidence, anybody.keys, Expectation(ATTESTATION, ["ab" * 32], "n" * 43, PEER, anybody.now))
    return "; ".join(failure.detail for failure in verdict.failures)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(lambda: str(describe("Blob", "Odd", WORDS, status=403)), id="an Azure service"),
        pytest.param(lambda: str(describe("Blob", WORDS, "", status=500)), id="its code"),
        pytest.param(waiting, id="a kubelet"),
        pytest.param(unscheduled, id="a scheduler"),
        pytest.param(without_pods, id="an admission webhook of pods"),
        pytest.param(kubernetes, id="an admission webhook"),
        pytest.param(container_group("Failed", ""), id="Resource Manager of a failure"),
        pytest.param(container_group("Pending", "Waiting"), id="Resource Manager on the way"),
        pytest.param(denied("deviceHash not found"), id="a request that the guest refused"),
        pytest.param(denied(WORDS), id="the guest"),
        pytest.param(page, id="the page"),
        pytest.param(claims, id="whoever answers in a group's place"),
    ],
)
def test_words_become_neither_a_command_nor_steer_a_terminal_when_they_are_those_of(said: Callable[[], str]) -> None:
    message = said()

    assert COMMAND in message, "it is still said"
    assert commands_in(message) == []
    assert message.isprintable()
    assert len(message) < 2000
