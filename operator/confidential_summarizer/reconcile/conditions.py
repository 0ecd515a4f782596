"""From findings to conditions. Pure; the only place that stamps generations and transition times."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.status import ASPECTS, Condition, ConditionStatus, ConditionType, Status
from confidential_summarizer.reconcile.findings import Finding

OURS = frozenset(ConditionType)
ORDER = tuple(ConditionType)

Said = Mapping[ConditionType, Finding]
"""What was found out, by condition."""


def aspects(said: Said, before: Status, generation: int) -> list[Finding]:
    """Return a finding for everything that Ready is made of.

    What was not reached this time is still as it was, as long as the resource asks for the same.
    """
    return [said.get(kind) or _unreached(kind, said, before, generation) for kind in ASPECTS]


def _unreached(kind: ConditionType, said: Said, before: Status, generation: int) -> Finding:
    known = before.condition(kind)
    if known and known.status is ConditionStatus.TRUE and known.observed_generation == generation:
        return Finding.true(kind, known.reason, known.message)
    ahead = (k for k in ASPECTS[: ASPECTS.index(kind)] if k in said and said[k].status is not ConditionStatus.TRUE)
    if waits_for := next(ahead, None):
        return Finding.unknown(kind, Reason.PENDING, f"waits for {waits_for}")
    # Ready is said by itself only of what nothing else is looked at for: a deletion, a pause, a spec that is refused.
    message = "not looked at; Ready says why" if ConditionType.READY in said else "not looked at yet"
    return Finding.unknown(kind, Reason.PENDING, message)


def readiness(found: Iterable[Finding]) -> Finding:
    """Sum the aspects up: the first that is not True is why the resource is not ready."""
    by_kind = {finding.type: finding for finding in found}
    for finding in by_kind.values():
        if finding.status is not ConditionStatus.TRUE:
            return Finding.false(ConditionType.READY, finding.reason, finding.message)
    deployed = by_kind[ConditionType.DEPLOYED]
    if deployed.reason != Reason.ROLLED_OUT:
        return Finding.true(ConditionType.READY, deployed.reason, deployed.message)
    return Finding.true(ConditionType.READY, Reason.READY, "summaries are served from an attested container group")


def stamped(findings: Iterable[Finding], before: Status, generation: int, now: datetime) -> list[Condition]:
    """Return the conditions in the order in which people read them; conditions of others stay.

    A transition time moves only with the condition's status, never with its reason or message.
    """
    ours = [_condition(finding, before, generation, now) for finding in sorted(findings, key=_place)]
    return [*ours, *(c for c in before.conditions if c.type not in OURS)]


def _place(finding: Finding) -> int:
    return ORDER.index(finding.type)


def _condition(finding: Finding, before: Status, generation: int, now: datetime) -> Condition:
    known = before.condition(finding.type)
    unchanged = known is not None and known.status is finding.status
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason,
        message=finding.message,
        last_transition_time=known.last_transition_time if known and unchanged else timestamp(now),
        observed_generation=generation,
    )


def transitions(before: Status, after: Status) -> list[Condition]:
    """Return the conditions whose status or reason is not what it was; of those with one reason the first."""
    known = {c.type: (c.status, c.reason) for c in before.conditions}
    changed = [
        c
        for c in after.conditions
        if c.type in OURS and c.reason != Reason.PENDING and known.get(c.type) != (c.status, c.reason)
    ]
    # Ready, Reconciling and Stalled repeat what the aspect says that they stand for: once is enough.
    return list({c.reason: c for c in reversed(changed)}.values())[::-1]


def status_patch(old: Mapping[str, Any], new: Status) -> dict[str, Any]:
    """Return the merge patch from one status to another; empty if there is nothing to write.

    Fields that are no longer there are removed by None; unchanged ones are left out, and so are those of a newer
    version of the operator, which are not ours to remove.
    """
    document = new.model_dump(by_alias=True, mode="json", exclude_none=True)
    known = {field.alias or name for name, field in Status.model_fields.items()}
    changed = {key: value for key, value in document.items() if old.get(key) != value}
    return changed | {key: None for key in old if key not in document and key in known}


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
