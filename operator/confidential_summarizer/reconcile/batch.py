"""How far a batch is, and what becomes of it when it is over.

What is done is decided by how its groups ended, which Kubernetes and Azure tell. How many documents that were is what
the groups themselves say: nobody vouches for it, and it decides nothing. The proof is the owner's: one result for each
document, signed by an attested group.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from confidential_summarizer.api.batch import ShardBy, write_indexes
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import BatchStatus, ConditionType, ShardStatus
from confidential_summarizer.kube import SUMMARIZER
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.conditions import timestamp
from confidential_summarizer.reconcile.report import Report
from confidential_summarizer.targets.observation import Group, Observation

PROGRESS_SECONDS = 5.0
"""Between two looks at a batch that works: a shard stays for ten at its end, to be seen."""


async def finished(clients: Clients, resource: ConfidentialSummarizer, report: Report) -> bool:
    """Tell whether nothing is left to do for a batch, and delete it when its time has come.

    A batch that was complete stays so until its spec changes, whatever becomes of its groups.
    """
    before = report.before.batch
    complete, failed = report.known(ConditionType.COMPLETE), report.known(ConditionType.FAILED)
    if not (complete or failed) or before is None:
        return False
    if complete is not None:
        report.true(ConditionType.COMPLETE, Reason.COMPLETED, complete.message)
    report.wait = _left(resource, before, report.now)
    if report.wait == 0:
        meta = resource.metadata
        await clients.kube.delete(SUMMARIZER, meta.namespace, meta.name, uid=meta.uid)
        return True
    return complete is not None


def _left(resource: ConfidentialSummarizer, batch: BatchStatus, now: datetime) -> float | None:
    """Return the seconds until a batch that is over is deleted; None: it is not."""
    spec = resource.spec.batch
    if spec is None or spec.ttl_seconds_after_finished is None or batch.completion_time is None:
        return None
    end = datetime.fromisoformat(batch.completion_time) + timedelta(seconds=spec.ttl_seconds_after_finished)
    return max(0.0, (end - now).total_seconds())


def note(resource: ConfidentialSummarizer, observation: Observation, report: Report) -> None:
    """Take down how far the shards are."""
    shards, now = observation.shards, timestamp(report.now)
    if shards is None:
        return
    known = report.batch
    if known is None or known.host_data != observation.host_data:
        known = BatchStatus(host_data=observation.host_data, shards="")
    began = known.start_time or (now if observation.ready or shards.done else None)
    report.batch = known.model_copy(
        update={
            "completed_indexes": write_indexes(shards.done),
            "failed_indexes": write_indexes(shards.failed),
            "shards": f"{len(shards.done)}/{shards.total}",
            "start_time": began,
            "completion_time": (known.completion_time or now) if shards.over else None,
            "per_minute": None,
            "estimated_completion_time": None,
        }
    )
    report.wait = _left(resource, report.batch, report.now)
    if shards.over:
        kind, reason = ConditionType.COMPLETE, Reason.COMPLETED
        if not shards.complete:
            kind, reason = ConditionType.FAILED, Reason.SHARDS_FAILED
        report.true(kind, reason, ended_message(observation))


def ended_message(observation: Observation) -> str:
    """Return what is said of a batch that is over."""
    shards = observation.shards
    assert shards is not None  # noqa: S101 - of a batch
    if shards.complete:
        return f"all {shards.total} shards are done"
    return (
        f"{len(shards.failed)} of {shards.total} shards failed more often than batch.backoffLimit allows; what is done "
        f"stays done, and a higher limit lets it go on: {shards.cause or 'nothing says why'}"
    )


async def follow(clients: Clients, resource: ConfidentialSummarizer, observation: Observation, report: Report) -> None:
    """Ask the groups that work how many documents they have done."""
    shards, known, spec = observation.shards, report.batch, resource.spec.batch
    if shards is None or known is None or spec is None:
        return
    groups = [group for group in observation.ready if group.address]
    answers = await asyncio.gather(*(clients.pages.status(group.address or "") for group in groups))
    said = [one for group, answer in zip(groups, answers, strict=True) if (one := _said(group, shards.total, answer))]
    told = {shard.index: shard for shard in known.told} | {shard.index: shard for shard, _, _ in said}
    for index in shards.done & told.keys():
        last = told[index]  # it ended well after it was last asked
        told[index] = last.model_copy(update={"done": last.documents - last.failed})
    if spec.shard_by is ShardBy.FILE_SYSTEM:
        # No group knows more than its own: the whole is known when each has told.
        total, more = sum(shard.documents for shard in told.values()) if told else None, len(told) < shards.total
    else:
        total, more = max((total for _, total, _ in said), default=_total(known)), False
    done, failed = sum(shard.done for shard in told.values()), sum(shard.failed for shard in told.values())
    rate = sum(rate for _, _, rate in said)
    left = max(0, (total or 0) - done - failed)
    foreseen = rate and not more and left / rate < _LONGEST_MINUTES
    end = report.now + timedelta(minutes=left / rate) if foreseen else None
    report.batch = known.model_copy(
        update={
            "told": [told[index] for index in sorted(told)],
            "documents": None if total is None else f"{done}/{total}{'+' if more else ''}",
            "refused": sum(one.refused for one in told.values()),
            "failed": failed,
            "per_minute": round(rate, 1) if said else None,
            "estimated_completion_time": None if end is None else timestamp(end),
        }
    )
    if not shards.over:
        report.wait = PROGRESS_SECONDS


_LONGEST_MINUTES = 366 * 24 * 60
"""What takes longer by the present rate has no date worth telling."""
_MOST = 1_000_000_000
"""Documents that are believed: the groups are untrusted, and so are their numbers."""


def _said(group: Group, shards: int, answer: Mapping[str, Any] | None) -> tuple[ShardStatus, int, float] | None:
    """Return what a group says of its shard, the documents of all shards, and its results a minute."""
    shard = (answer or {}).get("shard")
    if not isinstance(shard, Mapping) or shard.get("index") != group.shard or shard.get("shards") != shards:
        return None
    try:
        status = ShardStatus.model_validate(shard)
    except ValidationError:
        return None
    total, rate = shard.get("total"), shard.get("perMinute")
    counts = (total, status.documents, status.done, status.refused, status.failed)
    if not all(isinstance(count, int) and 0 <= count <= _MOST for count in counts):
        return None
    return status, int(total or 0), float(rate) if isinstance(rate, int | float) and 0 <= rate <= _MOST else 0.0


def _total(known: BatchStatus) -> int | None:
    return int(known.documents.partition("/")[2]) if known.documents else None
