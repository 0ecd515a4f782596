"""One idempotent reconcile for create, update, resume, resync and deletion: a straight line, and one status at its end.

The life of a change of the policy, for a key that the operator manages:

```
  spec or image changes ──▶ policy P2 is derived
        │
        ▼
  the key admits P1 and P2         admit the new one first: a group of P2 can open its files from its first second,
        │                          and one of P1 that restarts meanwhile still can
        ▼
  groups of P1 ──▶ groups of P2    replica by replica, as the target plans it; a failure ends it here, and P1 stays
        │
        ▼
  every group proves P2            by evidence of its own
        │
        ▼
  the key admits P2                retire what this resource added and no longer needs
```

A phase takes what it needs and returns what it found. Not done is an error: its type says whether somebody has to act
(WaitingError), to change the resource (SpecError), or a service to come back (TransientError); see errors.py.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from confidential_summarizer.api.names import FINALIZER
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata, read_status
from confidential_summarizer.api.status import Condition, ConditionType, Status
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.errors import SpecError, SummarizerError, TransientError, WaitingError
from confidential_summarizer.kube import SUMMARIZER
from confidential_summarizer.reconcile.annotations import Wishes, end_of_pause
from confidential_summarizer.reconcile.attest import attest
from confidential_summarizer.reconcile.batch import finished, follow
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.findings import Finding
from confidential_summarizer.reconcile.grants import check_grants
from confidential_summarizer.reconcile.images import all_pinned, image_trust, pull_secret, resolve_images
from confidential_summarizer.reconcile.keys import key_trust, release_keys, retire_policies
from confidential_summarizer.reconcile.patience import DELETING_SECONDS, RETRY_SECONDS, growing, pause
from confidential_summarizer.reconcile.policy import generate_policy, publish_policy
from confidential_summarizer.reconcile.publishing import Publisher, Recorder
from confidential_summarizer.reconcile.removal import KEY_PATIENCE, remove
from confidential_summarizer.reconcile.report import GRACE, Report
from confidential_summarizer.reconcile.rollout import deployed_message, look, roll_out
from confidential_summarizer.targets.observation import Observation
from confidential_summarizer.targets.ownership import labels_of
from confidential_summarizer.targets.target import Derivation


async def bring_closer(clients: Clients, resource: ConfidentialSummarizer, report: Report) -> None:
    """Bring the world closer to what the resource asks for.

    Raises:
        SummarizerError: It is not done; the type says what a retry is worth.
    """
    try:
        derivation, keys = await prepare(clients, resource, report)
    except SummarizerError:
        # What runs is looked at, whatever holds up the way to it.
        with contextlib.suppress(SummarizerError):
            await look_after(clients, resource, report)
        raise
    with report.about(ConditionType.DEPLOYED):
        groups = await roll_out(clients, resource, derivation, await pull_secret(clients, resource), report)
        report.true(ConditionType.DEPLOYED, *deployed_message(groups))
    await verify(clients, resource, groups, report)
    await follow(clients, resource, groups, report)
    if not report.unconfirmed:
        with report.about(ConditionType.KEY_RELEASABLE):
            keys = await retire_policies(clients, resource, report.host_data, keys)
            report.keys = key_trust(resource, keys)


async def prepare(
    clients: Clients, resource: ConfidentialSummarizer, report: Report
) -> tuple[Derivation, Sequence[VaultKey]]:
    """Find out what the groups have to be, and see to their keys; returns no keys where these are unconfirmed."""
    keys: Sequence[VaultKey] = ()
    with report.about(ConditionType.IMAGES_RESOLVED):
        if not all_pinned(resource):
            await report.begins(ConditionType.IMAGES_RESOLVED, Reason.MEASURING, "images are resolved and measured")
        images = await report.unless_changed(resolve_images(clients, resource))
        report.images = image_trust(resource, images)
        report.handled_resolve = Wishes.of(resource.metadata).resolve
        digests = "; ".join(f"{image.container}: {image.digest}" for image in report.images)
        report.true(ConditionType.IMAGES_RESOLVED, Reason.RESOLVED, digests)
    with report.about(ConditionType.POLICY_GENERATED):
        derivation = await generate_policy(clients, resource, images)
        host_data, before = derivation.policy.host_data, report.host_data
        await publish_policy(clients, resource, derivation)
        report.host_data = host_data
        report.true(ConditionType.POLICY_GENERATED, Reason.GENERATED, f"host-data {host_data}")
    try:
        with report.about(ConditionType.KEY_RELEASABLE, unchanged=host_data == before):
            keys = await release_keys(clients, resource, host_data)
            report.keys = key_trust(resource, keys)
            names = "; ".join(f"{f.key.name} in {f.key.vault}" for f in resource.spec.file_systems)
            report.true(ConditionType.KEY_RELEASABLE, Reason.ADMITTED, f"the policy is admitted by {names}")
    except TransientError:
        # A key that admitted this very policy still does while its vault is away: scaling and repairs go on.
        if not report.holds(ConditionType.KEY_RELEASABLE):
            raise
    return derivation, keys


async def look_after(clients: Clients, resource: ConfidentialSummarizer, report: Report) -> None:
    """Look at the groups that run, without changing anything."""
    with report.about(ConditionType.DEPLOYED):
        groups = await look(clients, resource, report)
        if groups is None:
            return
        report.true(ConditionType.DEPLOYED, *deployed_message(groups))
    await verify(clients, resource, groups, report)


async def verify(clients: Clients, resource: ConfidentialSummarizer, groups: Observation, report: Report) -> None:
    """Let every group prove what it is."""
    with report.about(ConditionType.ATTESTED):
        checked = await attest(clients, resource, groups, report.attestation, report.now)
        # The groups of a batch end: what they proved stays known.
        report.attestation = report.attestation if checked is None and groups.shards is not None else checked
        report.true(ConditionType.ATTESTED, *_attested(groups, report))


def _attested(groups: Observation, report: Report) -> tuple[Reason, str]:
    trust = report.attestation
    if trust is None or groups.wanted == 0:
        return Reason.SCALED_TO_ZERO, "no group runs, so there is nothing to ask"
    return Reason.VERIFIED, f"{trust.authority} vouches for host-data {report.host_data} of all {len(trust.groups)}"


class Result(StrEnum):
    """What came of one look at a resource; the label of a metric."""

    DONE = "done"
    PAUSED = "paused"
    WAITING = "waiting"
    STALLED = "stalled"
    RETRY = "retry"
    FAILED = "failed"
    REMOVING = "removing"
    GONE = "gone"


@dataclass(frozen=True)
class Visit:
    """One look at a resource.

    Attributes:
        wait: Seconds until the next; None if there is nothing more to look at.
        status: What is written about it now; None if it is gone.
        deleting_since: Since when it has been going.
    """

    result: Result
    wait: float | None = None
    status: Status | None = None
    deleting_since: datetime | None = None


@dataclass(frozen=True)
class Reconciler:
    """Brings one resource at a time closer to what its spec says, and says so in its status."""

    clients: Clients
    record: Recorder
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    grace: timedelta = GRACE
    key_patience: timedelta = KEY_PATIENCE

    async def visit(self, namespace: str, name: str, changed: asyncio.Event | None = None) -> Visit:
        """Reconcile one resource, or remove what is left of it.

        Args:
            namespace: The resource's namespace.
            name: Its name.
            changed: Set when people change it meanwhile; then nothing slow goes on for what they wanted before.

        Raises:
            SummarizerError: Not even its status could be written.
        """
        document = await self.clients.kube.get(SUMMARIZER, namespace, name)
        if document is None:
            return Visit(Result.GONE)
        publisher = Publisher(self.clients.kube, self.record, document)
        metadata = Metadata.model_validate(document["metadata"])
        report = Report(
            metadata, read_status(document.get("status") or {}), self.now(), publisher.write, grace=self.grace
        )
        report.changed = changed or report.changed
        if metadata.deletion_timestamp is not None:
            return await self._remove(document, report, publisher)
        if not await self._held(document):
            return Visit(Result.GONE)
        try:
            await self._reconcile(document, report)
        except SummarizerError as error:
            report.failure = error
        return await self._conclude(report, publisher)

    async def _reconcile(self, document: Mapping[str, Any], report: Report) -> None:
        with report.about(ConditionType.READY):
            wishes = Wishes.of(report.metadata)
            resource = ConfidentialSummarizer.parse(document)
        report.target = resource.spec.target.kind
        report.selector = ",".join(f"{key}={value}" for key, value in labels_of(resource.metadata).items())
        report.handled_reconcile = wishes.reconcile
        if await finished(self.clients, resource, report):
            return
        with report.about(ConditionType.IMAGES_RESOLVED):
            # Looking is use as well: where groups are listed and whose word counts is what the spec says now.
            await check_grants(self.clients, resource)
        if not wishes.pause:
            await bring_closer(self.clients, resource, report)
            return
        report.findings[ConditionType.READY] = Finding.unknown(
            ConditionType.READY,
            Reason.PAUSED,
            f"paused by annotation: looked at, but nothing is changed; {end_of_pause(resource.metadata)}",
        )
        await look_after(self.clients, resource, report)

    async def _conclude(self, report: Report, publisher: Publisher) -> Visit:
        status = report.status()
        await publisher.write(status)
        ready = status.condition(ConditionType.READY)
        if report.failure is None and report.unconfirmed:
            wait = growing(_seconds(report.unconfirmed_since, report.now), RETRY_SECONDS)
        else:
            since = report.unconfirmed_since if report.unconfirmed else _since(ready, report.now)
            wait = pause(report.failure, _seconds(since, report.now))
        return Visit(_result(report, ready), wait if report.wait is None else min(wait, report.wait), status)

    async def _held(self, document: Mapping[str, Any]) -> bool:
        """Keep the resource until everything outside it is gone, before there is anything; False: it went first."""
        finalizers = document["metadata"].get("finalizers") or []
        return FINALIZER in finalizers or await self._set_finalizers(document, [*finalizers, FINALIZER])

    async def _remove(self, document: Mapping[str, Any], report: Report, publisher: Publisher) -> Visit:
        finalizers = document["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return Visit(Result.GONE)
        since = datetime.fromisoformat(report.metadata.deletion_timestamp or "")
        age = max(report.now - since, timedelta())
        try:
            left = await remove(self.clients, document, report, age, self.key_patience)
        except SummarizerError as error:
            report.failure = error
            status = report.status()
            await publisher.write(status)
            return Visit(Result.REMOVING, growing(age.total_seconds(), DELETING_SECONDS), status, since)
        for reason, message in left:
            await publisher.tell(reason, message, normal=False)
        await self._set_finalizers(document, [one for one in finalizers if one != FINALIZER])
        return Visit(Result.GONE)

    async def _set_finalizers(self, document: Mapping[str, Any], finalizers: list[str]) -> bool:
        """Write the finalizers; False: there is no such resource any more."""
        meta = document["metadata"]
        # The version makes it fail where somebody else changed the list in between.
        changed = {"finalizers": finalizers, "resourceVersion": meta.get("resourceVersion")}
        merged = await self.clients.kube.merge(SUMMARIZER, meta["namespace"], meta["name"], {"metadata": changed})
        return merged is not None


def _since(ready: Condition | None, now: datetime) -> datetime:
    return datetime.fromisoformat(ready.last_transition_time) if ready else now


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


def _result(report: Report, ready: Condition | None) -> Result:
    failure = report.failure
    if ready is not None and ready.reason == Reason.PAUSED:
        return Result.PAUSED
    if failure is None:
        return Result.RETRY if report.unconfirmed else Result.DONE
    if isinstance(failure, SpecError):
        return Result.STALLED
    if isinstance(failure, WaitingError):
        return Result.WAITING
    return Result.RETRY if isinstance(failure, TransientError) else Result.FAILED
