"""From the phases' findings to one status. Pure; the only place that stamps generations and transition times."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from confidential_summarizer.api.names import POLICY_CONFIG_MAP_SUFFIX
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import (
    PRESENT_ONLY_WHILE_TRUE,
    Condition,
    ConditionStatus,
    ConditionType,
    Status,
    Trust,
)
from confidential_summarizer.reconcile.context import Context, Finding
from confidential_summarizer.targets.ownership import labels_of

ASPECTS = (
    ConditionType.IMAGES_RESOLVED,
    ConditionType.POLICY_GENERATED,
    ConditionType.KEY_RELEASABLE,
    ConditionType.DEPLOYED,
    ConditionType.ATTESTED,
)
"""What Ready is made of, in the order of the phases: the first that is not True is why it is not Ready."""

SHORT_HOST_DATA = 12
"""Digits of the host-data in the POLICY column: enough to tell two policies apart by eye."""


def summarise(context: Context, findings: Sequence[Finding], *, stalled: bool) -> Status:
    """Return the status that the findings amount to.

    Args:
        context: The resource, and what was found out about it.
        findings: What the phases that ran said; a later finding about the same condition wins.
        stalled: Waiting will not help: somebody has to change the resource.
    """
    resource = context.resource
    said = {finding.type: finding for finding in findings}
    aspects = [said.get(kind) or _unreached(kind, said) for kind in ASPECTS]
    ready = _ready(aspects)
    extra = [said[kind] for kind in PRESENT_ONLY_WHILE_TRUE if kind in said]
    if ready.status is not ConditionStatus.TRUE:
        kind = ConditionType.STALLED if stalled else ConditionType.RECONCILING
        extra.append(Finding.true(kind, ready.reason, ready.message))
    observation = context.observation
    return Status(
        observed_generation=resource.metadata.generation,
        conditions=_conditions(resource, [ready, *extra, *aspects], context.now),
        replicas=len(observation.groups) if observation else resource.status.replicas,
        ready_replicas=len(observation.serving) if observation else resource.status.ready_replicas,
        selector=",".join(f"{key}={value}" for key, value in labels_of(resource.metadata).items()),
        endpoint=_endpoint(context),
        policy=_host_data(context)[:SHORT_HOST_DATA] or None,
        target=resource.spec.target.kind,
        placements=context.placements,
        attempts=list(context.attempts),
        trust=_trust(context),
    )


def status_patch(old: Mapping[str, Any], new: Status) -> dict[str, Any]:
    """Return the merge patch from one status to another; empty if there is nothing to write.

    Fields that are no longer there are removed by None; unchanged ones are left out.
    """
    document = new.model_dump(by_alias=True, mode="json", exclude_none=True)
    changed = {key: value for key, value in document.items() if old.get(key) != value}
    return changed | {key: None for key in old if key not in document}


def transitions(old: Status, new: Status) -> list[Condition]:
    """Return the conditions worth an event: those whose status or reason is not what it was."""
    before = {c.type: (c.status, c.reason) for c in old.conditions}
    changed = [c for c in new.conditions if c.reason != Reason.PENDING and before.get(c.type) != (c.status, c.reason)]
    # Ready, Reconciling and Stalled repeat what the aspect says that they stand for: once is enough.
    return list({c.reason: c for c in changed}.values())


def _ready(aspects: Iterable[Finding]) -> Finding:
    for finding in aspects:
        if finding.status is not ConditionStatus.TRUE:
            return Finding(ConditionType.READY, ConditionStatus.FALSE, finding.reason, finding.message)
        last = finding
    if last.reason is Reason.SCALED_TO_ZERO:
        return Finding.true(ConditionType.READY, Reason.SCALED_TO_ZERO, last.message)
    return Finding.true(ConditionType.READY, Reason.READY, "summaries are served from an attested container group")


def _unreached(kind: ConditionType, said: Mapping[ConditionType, Finding]) -> Finding:
    waiting_for = next((k for k in ASPECTS if k in said and said[k].status is not ConditionStatus.TRUE), None)
    message = f"waits for {waiting_for}" if waiting_for else "not looked at yet"
    return Finding(kind, ConditionStatus.UNKNOWN, Reason.PENDING, message)


def _conditions(resource: ConfidentialSummarizer, findings: Iterable[Finding], now: datetime) -> list[Condition]:
    order = list(ConditionType)
    return [_condition(resource, f, now) for f in sorted(findings, key=lambda f: order.index(f.type))]


def _condition(resource: ConfidentialSummarizer, finding: Finding, now: datetime) -> Condition:
    before = resource.status.condition(finding.type)
    unchanged = before is not None and before.status == finding.status
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason,
        message=finding.message,
        last_transition_time=before.last_transition_time if before and unchanged else timestamp(now),
        observed_generation=resource.metadata.generation,
    )


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _endpoint(context: Context) -> str | None:
    observation = context.observation
    if observation is None:
        return context.resource.status.endpoint
    addresses = [group.address for group in observation.ready or observation.serving if group.address]
    return f"https://{addresses[0]}" if addresses else None


def _host_data(context: Context) -> str:
    return context.derivation.policy.host_data if context.derivation else ""


def _trust(context: Context) -> Trust:
    before = context.resource.status.trust or Trust()
    return Trust(
        host_data=_host_data(context) or before.host_data,
        policy_config_map=context.resource.metadata.name + POLICY_CONFIG_MAP_SUFFIX if context.derivation else None,
        images=list(context.image_trust) or before.images,
        keys=list(context.keys) or before.keys,
        attestation=context.attestation or before.attestation,
    )
