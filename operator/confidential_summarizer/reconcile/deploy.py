"""Phases: deploy the derived manifest, watch it come up, and undo what somebody else changed."""

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.kube import SUMMARIZER
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Desired

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
    """Read the groups once, plan, remember what deletion and the next plan need to know, and take the steps."""
    resource, clients = context.resource, context.clients
    target = clients.targets[resource.spec.target.kind]
    live = await target.read(resource, context.derived)
    plan = target.plan(Desired(resource, context.derived, context.pull_secret), live, context.now)
    context = context.with_(live=live, plan=plan)
    if plan.steps:
        await _remember(context)
        await target.execute(plan)
    if not plan.drift:
        return Outcome(context)
    fields = ", ".join(plan.drift[:MAX_LISTED])
    if resource.spec.drift_policy is DriftPolicy.REPORT:
        message = (
            f"somebody changed {fields}; the guest holds groups to the policy whatever the cluster says. Undo the "
            "change, or set driftPolicy to Correct"
        )
        return Outcome(context, [Finding.true(ConditionType.DRIFTED, Reason.MODIFIED_OUTSIDE, message)])
    message = f"somebody changed {fields}; it is put back"
    return Outcome(context, [Finding.true(ConditionType.DRIFTED, Reason.CORRECTED, message)])


async def _remember(context: Context) -> None:
    meta, status = context.resource.metadata, context.resource.status
    new = status.model_copy(update={"placements": context.placements, "attempts": list(context.attempts)})
    if new != status:
        patch = new.model_dump(by_alias=True, mode="json", exclude_none=True, include={"placements", "attempts"})
        await context.clients.kube.patch_status(SUMMARIZER, meta.namespace, meta.name, patch)


async def observe(context: Context) -> Outcome:
    """Say how far the groups have come, by the same reading."""
    target = context.clients.targets[context.resource.spec.target.kind]
    observation = await target.observe(context.resource, context.live, context.host_data)
    plan = context.plan
    assert plan is not None  # noqa: S101 - the order of the phases
    under_way = plan.waits or "; ".join(str(step) for step in plan.steps[:MAX_LISTED])
    finding = await _asked(context, observation) or deployed(observation, under_way)
    settled = observation.rolled_out and not under_way
    stalled = finding.reason is Reason.POLICY_DENIED
    return Outcome(
        context.with_(observation=observation),
        [finding],
        waits=not settled,
        stalled=stalled,
        requeue=None if settled or stalled else plan.wait_seconds or POLL_SECONDS,
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


def deployed(observation: Observation, under_way: str) -> Finding:
    """Sum the groups up in the condition Deployed: what is wrong first, then what is going on."""
    if observation.denied:
        return _no(Reason.POLICY_DENIED, _first(observation.denied))
    if observation.failed:
        return _no(Reason.GROUP_FAILED, _first(observation.failed))
    count = f"{len(observation.ready)} of {observation.wanted} ready"
    if observation.blocked:
        return _no(Reason.GROUP_FAILED, observation.blocked)
    if under_way or not observation.rolled_out:
        said = [group for group in observation.current if group.message]
        return _no(Reason.ROLLING_OUT, ": ".join(filter(None, [count, _first(said) if said else under_way])))
    if observation.wanted == 0:
        return Finding.true(ConditionType.DEPLOYED, Reason.SCALED_TO_ZERO, "no group is wanted")
    return Finding.true(ConditionType.DEPLOYED, Reason.ROLLED_OUT, count)


def _first(groups: list[Group]) -> str:
    more = f" (and {len(groups) - 1} more)" if len(groups) > 1 else ""
    return f"{groups[0].name}: {groups[0].message}{more}"


def _no(reason: Reason, message: str) -> Finding:
    return Finding.false(ConditionType.DEPLOYED, reason, message)
