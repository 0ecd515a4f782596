"""Phases: deploy the derived manifest, watch it come up, and undo what somebody else changed."""

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation

POLL_SECONDS = 2.0
"""While groups come up: often enough to be prompt; a change of a pod wakes the resource earlier anyway."""
MAX_PAGE_MESSAGE = 500
"""Characters that are believed to be a reason; the page is untrusted, and so is the length of what it says."""
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


async def deploy(context: Context) -> Outcome:
    """Apply the manifest where it is missing or not what it should be; settled groups are left alone."""
    groups = context.clients.groups
    drift = await groups.drift(context.resource, context.derived)
    if drift is None:
        await groups.apply(context.resource, context.derived)
        return Outcome(context)
    if not drift.fields:
        return Outcome(context)
    fields = ", ".join(sorted(drift.fields)[:MAX_LISTED])
    if not drift.intended and context.resource.spec.drift_policy is DriftPolicy.REPORT:
        message = (
            f"somebody changed {fields}; the guest holds groups to the policy whatever the cluster says. Undo the "
            "change, or set driftPolicy to Correct"
        )
        return Outcome(context, [Finding.true(ConditionType.DRIFTED, Reason.MODIFIED_OUTSIDE, message)])
    await groups.apply(context.resource, context.derived)
    if drift.intended:
        return Outcome(context)
    message = f"somebody changed {fields}; it was put back"
    return Outcome(context, [Finding.true(ConditionType.DRIFTED, Reason.CORRECTED, message)])


async def observe(context: Context) -> Outcome:
    """Look at the groups and say how far they have come."""
    observation = await context.clients.groups.observe(context.resource, context.derived)
    finding = await _asked(context, observation) or deployed(observation)
    settled = observation.rolled_out
    return Outcome(
        context.with_(observation=observation),
        [finding],
        waits=not settled,
        stalled=finding.reason is Reason.POLICY_DENIED,
        requeue=None if settled else POLL_SECONDS,
    )


async def _asked(context: Context, observation: Observation) -> Finding | None:
    """Let the first running group that is not ready say itself what it waits for; its words decide nothing else."""
    waiting = [g for g in observation.current if g.phase is GroupPhase.RUNNING and g.address]
    if observation.denied or observation.failed or not waiting:
        return None
    answer = await context.clients.pages.status(waiting[0].address or "")
    reason = PAGE_STATES.get(str((answer or {}).get("state")))
    if answer is None or reason is None:
        return None
    said = str(answer.get("reason", ""))[:MAX_PAGE_MESSAGE]
    return _no(reason, f"{waiting[0].name}: {said}")


def deployed(observation: Observation) -> Finding:
    """Sum the groups up in the condition Deployed: what is wrong first, then what is going on."""
    if observation.denied:
        return _no(Reason.POLICY_DENIED, _first(observation.denied))
    if observation.failed:
        return _no(Reason.GROUP_FAILED, _first(observation.failed))
    count = f"{len(observation.ready)} of {observation.wanted} ready"
    if not observation.rolled_out:
        current = observation.current
        message = f"{count}: {_first(current)}" if current and current[0].message else count
        return _no(Reason.ROLLING_OUT, message)
    if observation.wanted == 0:
        return Finding.true(ConditionType.DEPLOYED, Reason.SCALED_TO_ZERO, "no group is wanted")
    return Finding.true(ConditionType.DEPLOYED, Reason.ROLLED_OUT, count)


def _first(groups: list[Group]) -> str:
    more = f" (and {len(groups) - 1} more)" if len(groups) > 1 else ""
    return f"{groups[0].name}: {groups[0].message}{more}"


def _no(reason: Reason, message: str) -> Finding:
    return Finding.false(ConditionType.DEPLOYED, reason, message)
