"""Phase: bring the groups to what was derived, one step at a time, and say how far they have come."""

from collections.abc import Mapping, Sequence
from typing import Any

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.errors import SpecError, SummarizerError, WaitingError, quoted
from confidential_summarizer.reconcile.batch import ended_message, note
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.report import Report
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Derivation, Desired, Plan

POLL_SECONDS = 2.0
"""While groups come up: often enough to be prompt; a change of a pod wakes the resource earlier anyway."""
REPAIR_SECONDS = 15.0
"""While a group has failed: what repairs it has a pause of its own."""
DENIED_SECONDS = 120.0
"""After the guest refused to start: only another image, policy or spec changes that."""
PAGE_STATES = {
    "WaitingForModel": Reason.OPENING_FILE_SYSTEMS,
    "WaitingForKey": Reason.OPENING_FILE_SYSTEMS,
    "Mounted": Reason.SUMMARIZING,
    "Summarizing": Reason.SUMMARIZING,
    "Failed": Reason.SUMMARIZING_FAILED,
}
"""What the summarizer's states (workload/summarizer/progress.py) mean for the condition Deployed."""
MAX_LISTED = 8
"""Differing fields named in a message; more would bury the first."""


async def roll_out(
    clients: Clients,
    resource: ConfidentialSummarizer,
    derivation: Derivation,
    pull_secret: Mapping[str, Any] | None,
    report: Report,
) -> Observation:
    """Read the groups once, take the steps that they need, and return them once all of them are as wanted.

    Raises:
        WaitingError: They are on their way, or one of them failed.
        SpecError: The guest refuses to start one.
    """
    target = clients.targets[resource.spec.target.kind]
    live = await target.read(resource, derivation)
    plan = target.plan(Desired(resource, derivation, pull_secret), live, report.now)
    observation = await target.observe(resource, live, derivation.policy.host_data)
    report.observation = observation
    report.placements, report.attempts = resource.placements, plan.attempts
    note(resource, observation, report)
    _say_drift(resource, plan, report)
    if plan.steps:
        await report.remember()
        await target.execute(plan)
    corrected = bool(plan.drift) and report.known(ConditionType.DEPLOYED) is not None
    # Groups of a batch come and go: that is its work.
    if plan.steps and not corrected and not (observation.shards and observation.rolled_out):
        steps = "; ".join(str(step) for step in plan.steps[:MAX_LISTED])
        raise WaitingError(
            f"{_count(observation)}: {steps}", reason=Reason.ROLLING_OUT, retry_after=plan.wait_seconds or POLL_SECONDS
        )
    await judge(clients, observation, plan)
    return observation


async def look(clients: Clients, resource: ConfidentialSummarizer, report: Report) -> Observation | None:
    """Look at groups that cannot be brought further now; None if there have never been any.

    Raises:
        WaitingError: They are not as wanted.
        SpecError: The guest refuses to start one.
    """
    if not report.before.placements and not report.before.replicas:
        return None
    target = clients.targets[resource.spec.target.kind]
    observation = await target.observe(resource, await target.read(resource), report.host_data)
    report.observation = observation
    note(resource, observation, report)
    await judge(clients, observation, Plan())
    return observation


def _say_drift(resource: ConfidentialSummarizer, plan: Plan, report: Report) -> None:
    if not plan.drift:
        return
    fields = ", ".join(sorted(plan.drift)[:MAX_LISTED])
    if resource.spec.drift_policy is DriftPolicy.REPORT:
        message = (
            f"somebody changed {fields}; the guest holds groups to the policy whatever the cluster says. Undo the "
            "change, or set driftPolicy to Correct"
        )
        report.true(ConditionType.DRIFTED, Reason.MODIFIED_OUTSIDE, message)
    else:
        report.true(ConditionType.DRIFTED, Reason.CORRECTED, f"somebody changed {fields}; it is put back")


async def judge(clients: Clients, observation: Observation, plan: Plan) -> None:
    """Raise unless all groups are as wanted: what is wrong first, then what is going on."""
    if observation.denied:
        raise SpecError(_first(observation.denied), reason=Reason.POLICY_DENIED, retry_after=DENIED_SECONDS)
    if observation.failed:
        message = _first(observation.failed) + (f"; {plan.waits}" if plan.waits else "")
        wait = plan.wait_seconds or REPAIR_SECONDS
        raise WaitingError(message, reason=Reason.GROUP_FAILED, retry_after=wait)
    if observation.blocked:
        raise WaitingError(f"{_count(observation)}: {observation.blocked}", reason=Reason.GROUP_FAILED)
    if observation.shards is not None and observation.shards.over and not observation.shards.complete:
        raise SpecError(ended_message(observation), reason=Reason.SHARDS_FAILED, retry_after=DENIED_SECONDS)
    if observation.rolled_out and (not plan.waits or observation.shards is not None):
        return
    raise await _asked(clients, observation) or _under_way(observation, plan)


async def _asked(clients: Clients, observation: Observation) -> SummarizerError | None:
    """Let the first running group that is not ready say itself what it waits for; its words decide nothing else."""
    waiting = [g for g in observation.current if g.phase is GroupPhase.RUNNING and g.address]
    if not waiting:
        return None
    answer = await clients.pages.status(waiting[0].address or "")
    reason = PAGE_STATES.get(str((answer or {}).get("state")))
    if answer is None or reason is None:
        return None
    # The page sees only that nothing appears; why not is known to the sidecar, if the target shows its end.
    said = "; ".join(filter(None, (quoted(answer.get("reason") or ""), waiting[0].message)))
    message = ": ".join(filter(None, (waiting[0].name, said)))
    return WaitingError(message, reason=reason, retry_after=POLL_SECONDS)


def _under_way(observation: Observation, plan: Plan) -> SummarizerError:
    said = next((_first([g]) for g in observation.current if g.message), "")
    if observation.shards is not None:
        said = said or observation.shards.cause
    message = ": ".join(filter(None, (_count(observation), said or plan.waits)))
    return WaitingError(message, reason=Reason.ROLLING_OUT, retry_after=plan.wait_seconds or POLL_SECONDS)


def _count(observation: Observation) -> str:
    return f"{len(observation.ready)} of {observation.wanted} ready"


def _first(groups: Sequence[Group]) -> str:
    more = f" (and {len(groups) - 1} more)" if len(groups) > 1 else ""
    return f"{groups[0].name}: {groups[0].message}{more}"


def deployed_message(observation: Observation) -> tuple[Reason, str]:
    """Return what is said of groups that are all as wanted."""
    shards = observation.shards
    if shards is not None and shards.complete:
        return Reason.COMPLETED, ended_message(observation)
    if shards is not None and observation.wanted == 0:
        return Reason.SCALED_TO_ZERO, "spec.batch.parallelism is 0: no group works"
    if shards is not None:
        said = [f"{len(shards.done)} of {shards.total} shards are done, {len(observation.ready)} are worked on"]
        said += [f"{len(shards.failed)} failed"] if shards.failed else []
        said += [f"the last that failed: {shards.cause}"] if shards.cause else []
        return Reason.RUNNING, "; ".join(said)
    if observation.wanted == 0:
        return Reason.SCALED_TO_ZERO, "spec.replicas is 0: no group runs"
    return Reason.ROLLED_OUT, "; ".join([_count(observation), *observation.remarks])
