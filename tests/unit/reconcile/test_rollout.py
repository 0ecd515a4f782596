"""What is said of groups on their way: first what a person has to act on, then what goes on."""

from collections.abc import Mapping
from typing import Any

import pytest

from confidential_summarizer.errors import SpecError, SummarizerError, WaitingError
from confidential_summarizer.reconcile.batch import ended_message
from confidential_summarizer.reconcile.rollout import (
    DENIED_SECONDS,
    POLL_SECONDS,
    REPAIR_SECONDS,
    deployed_message,
    judge,
)
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation, Shards
from confidential_summarizer.targets.target import Plan
from tests.support.fakes import FakePages
from tests.unit.reconcile.test_reconcile import World, settled

HASH = "ab" * 32


def group(index: int, phase: GroupPhase, message: str = "", *, address: bool = True) -> Group:
    return Group(f"g-{index}", HASH, phase, f"10.0.0.{index}:8501" if address else None, message)


def observed(*groups: Group, wanted: int = 2, **more: Any) -> Observation:
    return Observation(wanted, groups, HASH, **more)


async def said(found: Observation, plan: Plan | None = None, **states: Mapping[str, Any]) -> SummarizerError | None:
    """Return what a look at groups comes to, where pages answer with states, by the group's name."""
    answers = {f"10.0.0.{name.removeprefix('g')}:8501": state for name, state in states.items()}
    try:
        await judge(World(pages=FakePages(answers)).reconciler().clients, found, plan or Plan())
    except SummarizerError as error:
        return error
    return None


READY, STARTING, FAILED = GroupPhase.READY, GroupPhase.STARTING, GroupPhase.FAILED
BATCH = Shards(2, frozenset({0}), frozenset({1}), "exit code 3")
LATER = Plan(waits="next try at noon", wait_seconds=90)

JUDGED: dict[str, tuple[Observation, Plan, type[SummarizerError], str, str, float | None]] = {
    "a refusal of the guest comes before a failure": (
        observed(group(0, FAILED, "out of memory"), group(1, GroupPhase.DENIED, "deviceHash not found")),
        LATER, SpecError, "PolicyDenied", "g-1: deviceHash not found", DENIED_SECONDS,
    ),
    "a failure, how many more there are, and what is done about it": (
        observed(group(0, FAILED, "out of memory"), group(1, FAILED, "evicted")),
        LATER, WaitingError, "GroupFailed", "g-0: out of memory (and 1 more); next try at noon", 90,
    ),
    "a failure about which nothing is known to be done": (
        observed(group(0, FAILED, "out of memory")),
        Plan(), WaitingError, "GroupFailed", "g-0: out of memory", REPAIR_SECONDS,
    ),
    "groups that cannot be made": (
        observed(blocked="forbidden by PodSecurity"),
        Plan(), WaitingError, "GroupFailed", "0 of 2 ready: forbidden by PodSecurity", None,
    ),
    "a group that comes up and says why it has not yet": (
        observed(group(0, READY), group(1, STARTING, "pulling")),
        LATER, WaitingError, "RollingOut", "1 of 2 ready: g-1: pulling", 90,
    ),
    "groups that come up and say nothing": (
        observed(group(0, STARTING), group(1, STARTING)),
        Plan(waits="g-2: going away"), WaitingError, "RollingOut", "0 of 2 ready: g-2: going away", POLL_SECONDS,
    ),
    "nothing known at all": (observed(), Plan(), WaitingError, "RollingOut", "0 of 2 ready", POLL_SECONDS),
    "an old group that still goes": (
        observed(group(0, READY), wanted=1),
        Plan(waits="g-1: going away"), WaitingError, "RollingOut", "1 of 1 ready: g-1: going away", POLL_SECONDS,
    ),
    "a batch of which a shard failed for good": (
        observed(shards=BATCH),
        Plan(), SpecError, "ShardsFailed", ended_message(observed(shards=BATCH)), DENIED_SECONDS,
    ),
    "a batch of which no shard works": (
        observed(shards=Shards(2, cause="exit code 3")),
        Plan(), WaitingError, "RollingOut", "0 of 2 ready: exit code 3", POLL_SECONDS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JUDGED)
async def test_what_a_person_has_to_act_on_is_said_first(case: str) -> None:
    found, plan, kind, reason, message, wait = JUDGED[case]
    error = await said(found, plan)
    assert type(error) is kind
    assert (error.reason, str(error), error.retry_after) == (reason, message, wait)


@pytest.mark.parametrize(
    ("found", "plan"),
    [
        (observed(group(0, READY), group(1, READY)), Plan()),
        (observed(wanted=0), Plan()),
        (observed(group(0, READY), shards=Shards(9)), Plan(waits="a shard is going away")),
        (observed(shards=Shards(1, frozenset({0}))), Plan()),
    ],
    ids=["all ready", "none wanted", "a batch at work", "a batch that is done"],
)
async def test_groups_that_are_as_wanted_are_no_reason_to_wait(found: Observation, plan: Plan) -> None:
    assert await said(found, plan) is None


WAITS = (group(0, READY), group(1, GroupPhase.RUNNING, "sidecar: blob not found"), group(2, GroupPhase.RUNNING))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("WaitingForModel", "OpeningFileSystems"),
        ("WaitingForKey", "OpeningFileSystems"),
        ("Mounted", "Summarizing"),
        ("Summarizing", "Summarizing"),
        ("Failed", "SummarizingFailed"),
    ],
)
async def test_the_first_group_that_runs_and_is_not_ready_says_what_it_waits_for(state: str, reason: str) -> None:
    error = await said(
        observed(*WAITS, wanted=3), g1={"state": state, "reason": "step\n2 of 3"}, g2={"state": "Failed"}
    )
    assert error is not None
    assert (error.reason, error.retry_after) == (reason, POLL_SECONDS)
    assert str(error) == "g-1: step 2 of 3; sidecar: blob not found"


@pytest.mark.parametrize("answer", [None, {}, {"state": "Dancing"}, {"state": ["Failed"]}])
async def test_a_page_that_says_nothing_known_is_passed_over(answer: dict[str, Any] | None) -> None:
    error = await said(observed(*WAITS, wanted=3), **({} if answer is None else {"g1": answer}))
    assert str(error) == "1 of 3 ready: g-1: sidecar: blob not found"


async def test_a_page_without_a_reason_or_an_end_of_its_sidecar_names_its_group_alone() -> None:
    nowhere = group(0, GroupPhase.RUNNING, "pulling", address=False)
    error = await said(observed(nowhere, group(2, GroupPhase.RUNNING)), g2={"state": "Mounted"})
    assert error is not None
    assert (str(error), error.reason) == ("g-2", "Summarizing")


@pytest.mark.parametrize(
    ("found", "reason", "message"),
    [
        (
            observed(group(0, READY), wanted=1, remarks=["2 pods are over"]),
            "RolledOut",
            "1 of 1 ready; 2 pods are over",
        ),
        (observed(wanted=0), "ScaledToZero", "spec.replicas is 0: no group runs"),
        (observed(wanted=0, shards=Shards(3)), "ScaledToZero", "spec.batch.parallelism is 0: no group works"),
        (observed(wanted=0, shards=Shards(2, frozenset({0, 1}))), "Completed", "all 2 shards are done"),
        (observed(group(0, READY), shards=Shards(3)), "Running", "0 of 3 shards are done, 1 are worked on"),
        (
            observed(group(0, READY), shards=Shards(3, frozenset({1}), frozenset({2}), "exit code 3")),
            "Running",
            "1 of 3 shards are done, 1 are worked on; 1 failed; the last that failed: exit code 3",
        ),
    ],
)
def test_what_is_said_of_groups_that_are_as_wanted(found: Observation, reason: str, message: str) -> None:
    assert deployed_message(found) == (reason, message)


@pytest.mark.parametrize(
    ("policy", "remedy"), [("Report", "set driftPolicy to Correct"), ("Correct", "it is put back")]
)
async def test_drift_names_the_first_of_many_fields_and_what_becomes_of_it(policy: str, remedy: str) -> None:
    world = await settled(driftPolicy=policy)
    world.groups.changed = [f"spec.field{number}" for number in range(8, -1, -1)]
    await world.visit()
    drifted = world.condition("Drifted")
    assert drifted is not None
    assert f"somebody changed {', '.join(f'spec.field{number}' for number in range(8))}; " in drifted["message"]
    assert remedy in drifted["message"]


async def test_groups_that_were_just_sent_are_looked_at_again_soon() -> None:
    world = World().given()
    await world.visit()
    world.approved()
    assert (await world.visit()).wait == POLL_SECONDS
    assert world.reason() == "RollingOut"
