"""One idempotent reconcile for create, update, resume and resync: run the phases in order, then write status once."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from confidential_summarizer.api.names import POLICY_CONFIG_MAP_SUFFIX
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.spec import DeletionPolicy
from confidential_summarizer.api.status import ConditionStatus, ConditionType
from confidential_summarizer.errors import (
    AccessDenied,
    ImageError,
    IntegrityError,
    KeyNotOwned,
    NameTaken,
    NotFound,
    NotGranted,
    PolicyError,
    QuotaExceeded,
    ReleasePolicyError,
    SecretNotAllowed,
    SecretNotFound,
    SpecError,
    SummarizerError,
    TransientError,
    WaitingError,
)
from confidential_summarizer.kube import CONFIG_MAP, SUMMARIZER
from confidential_summarizer.reconcile.attest import attest
from confidential_summarizer.reconcile.context import Clients, Context, Finding, Outcome
from confidential_summarizer.reconcile.deploy import deploy, observe
from confidential_summarizer.reconcile.grants import check_grants, was_granted
from confidential_summarizer.reconcile.images import resolve_images
from confidential_summarizer.reconcile.keys import dispose_of_keys, release_keys, retire_policies
from confidential_summarizer.reconcile.policy import generate_policy
from confidential_summarizer.reconcile.summary import status_patch, summarise, timestamp, transitions
from confidential_summarizer.targets.ownership import delete_ours
from confidential_summarizer.targets.target import remove_everywhere

logger = logging.getLogger(__name__)

Phase = Callable[[Context], Awaitable[Outcome]]

PHASES: tuple[tuple[ConditionType, Phase], ...] = (
    (ConditionType.IMAGES_RESOLVED, check_grants),
    (ConditionType.IMAGES_RESOLVED, resolve_images),
    (ConditionType.POLICY_GENERATED, generate_policy),
    (ConditionType.KEY_RELEASABLE, release_keys),
    (ConditionType.DEPLOYED, deploy),
    (ConditionType.DEPLOYED, observe),
    (ConditionType.ATTESTED, attest),
    (ConditionType.KEY_RELEASABLE, retire_policies),
)
"""Each phase with the condition that an error in it is about. A new phase is one more line here."""

RESYNC_SECONDS = 300.0
"""A settled resource is looked at again this often, to find drift and keys that somebody changed."""
WAITING_SECONDS = 10.0
"""Somebody else has to act, and their services do not call us: ask again this often."""
STALLED_SECONDS = 120.0
"""Nothing will change without a new spec, except what we cannot see: a role, a pushed image."""


class Recorder(Protocol):
    """Posts Kubernetes events about a resource."""

    def __call__(self, resource: Mapping[str, Any], *, normal: bool, reason: str, message: str) -> None:
        """Post one event."""


@dataclass(frozen=True)
class Reconciler:
    """Brings one resource at a time closer to what its spec says, and says so in its status."""

    clients: Clients
    record: Recorder
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Reconcile one resource.

        Returns:
            Seconds until it should be looked at again; None if it is gone or going.
        """
        document = await self.clients.kube.get(SUMMARIZER, namespace, name)
        if document is None or document["metadata"].get("deletionTimestamp"):
            return None
        try:
            resource = ConfidentialSummarizer.parse(document)
        except SpecError as error:
            await self._refuse(document, error)
            return STALLED_SECONDS
        context, findings, last = await self._run(Context(resource, self.clients, self.now()))
        stalled = last is not None and last.stalled
        status = summarise(context, findings, stalled=stalled)
        patch = status_patch(document.get("status") or {}, status)
        if patch:
            await self.clients.kube.patch_status(SUMMARIZER, namespace, name, patch)
        for condition in transitions(resource.status, status):
            bad = condition.status is ConditionStatus.FALSE or condition.type == ConditionType.DRIFTED
            normal = not bad or condition.reason in _ORDINARY
            self.record(document, normal=normal, reason=condition.reason, message=condition.message)
        ready = status.condition(ConditionType.READY)
        settled = last is None and ready is not None and ready.status is ConditionStatus.TRUE
        return _requeue(last, settled=settled, stalled=stalled)

    async def remove(self, namespace: str, name: str) -> bool:
        """Remove everything outside the resource; True once nothing is left and the finalizer may go."""
        document = await self.clients.kube.get(SUMMARIZER, namespace, name)
        if document is None:
            return True
        try:
            resource = ConfidentialSummarizer.parse(document)
        except SpecError:
            return True  # nothing was ever deployed for a spec that never parsed; owner references cover the rest
        granted = await self.clients.grants.allow(resource)
        if granted or was_granted(resource):
            orphan = resource.spec.deletion_policy is DeletionPolicy.RETAIN
            where = resource.remaining_placements
            removal = await remove_everywhere(self.clients.targets, resource.metadata, where, orphan=orphan)
            if removal.left:
                return False
            if not orphan:  # groups that run on need their keys
                await dispose_of_keys(Context(resource, self.clients, self.now()), granted=granted)
        await delete_ours(self.clients.kube, resource.metadata, CONFIG_MAP, name + POLICY_CONFIG_MAP_SUFFIX)
        return True

    async def _run(self, context: Context) -> tuple[Context, list[Finding], Outcome | None]:
        """Run the phases up to the first that is not done; errors become findings."""
        findings: list[Finding] = []
        for kind, phase in PHASES:
            try:
                outcome = await phase(context)
            except SummarizerError as error:
                outcome = _failure(context, kind, error)
            except Exception:
                # Whatever a bug does to one resource, the others go on, and this one says so.
                logger.exception("phase %s of %s failed", phase.__name__, context.resource.key)
                message = f"a bug in phase {phase.__name__}; the operator's log has the trace"
                finding = Finding(kind, ConditionStatus.UNKNOWN, Reason.INTERNAL_ERROR, message)
                outcome = Outcome(context, [finding], waits=True, requeue=WAITING_SECONDS)
            context = outcome.context
            findings.extend(outcome.findings)
            if outcome.waits:
                return context, findings, outcome
        return context, findings, None

    async def _refuse(self, document: Mapping[str, Any], error: SpecError) -> None:
        """Say that the spec itself cannot be read; the API server let it through under older rules."""
        metadata = Metadata.model_validate(document["metadata"])
        finding = {
            "reason": Reason.INVALID_SPEC.value,
            "message": str(error),
            "observedGeneration": metadata.generation,
            "lastTransitionTime": timestamp(self.now()),
        }
        conditions = [{"type": "Ready", "status": "False", **finding}, {"type": "Stalled", "status": "True", **finding}]
        old = (document.get("status") or {}).get("conditions") or []
        if [(c["type"], c["status"], c["message"], c["observedGeneration"]) for c in old] == [
            (c["type"], c["status"], c["message"], c["observedGeneration"]) for c in conditions
        ]:
            return
        status = {"observedGeneration": metadata.generation, "conditions": conditions}
        await self.clients.kube.patch_status(SUMMARIZER, metadata.namespace, metadata.name, status)
        self.record(document, normal=False, reason=Reason.INVALID_SPEC, message=str(error))


_ORDINARY = frozenset({Reason.ROLLING_OUT, Reason.PROGRESSING, Reason.OPENING_FILE_SYSTEMS, Reason.SUMMARIZING})
"""Reasons of a False condition that are the usual course of things, not a warning."""

_REASONS: tuple[tuple[type[SummarizerError], Reason], ...] = (
    (ImageError, Reason.IMAGE_UNUSABLE),
    (PolicyError, Reason.POLICY_INVALID),
    (ReleasePolicyError, Reason.RELEASE_POLICY_INVALID),
    (NameTaken, Reason.NAME_TAKEN),
    (NotGranted, Reason.NOT_GRANTED),
    (SpecError, Reason.INVALID_SPEC),
    (AccessDenied, Reason.ACCESS_DENIED),
    (KeyNotOwned, Reason.KEY_NOT_OWNED),
    (SecretNotAllowed, Reason.SECRET_NOT_ALLOWED),
    (SecretNotFound, Reason.SECRET_NOT_FOUND),
    (QuotaExceeded, Reason.QUOTA_EXCEEDED),
    (NotFound, Reason.NOT_FOUND),
    (WaitingError, Reason.ACTION_REQUIRED),
    (TransientError, Reason.SERVICE_UNAVAILABLE),
    (IntegrityError, Reason.EVIDENCE_REFUSED),
)
"""The reason for each branch of the error tree; the first match counts."""


def _failure(context: Context, kind: ConditionType, error: SummarizerError) -> Outcome:
    reason = next((reason for branch, reason in _REASONS if isinstance(error, branch)), Reason.INTERNAL_ERROR)
    requeue = error.retry_after if isinstance(error, TransientError) else None
    return Outcome(
        context,
        [Finding.false(kind, reason, str(error))],
        waits=True,
        stalled=isinstance(error, SpecError),
        requeue=requeue,
    )


def _requeue(last: Outcome | None, *, settled: bool, stalled: bool) -> float:
    if last is not None and last.requeue is not None:
        return last.requeue
    if stalled:
        return STALLED_SECONDS
    return RESYNC_SECONDS if settled else WAITING_SECONDS
