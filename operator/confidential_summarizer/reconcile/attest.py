"""Phase: ask a running group for evidence and check it, as the data owner would."""

from datetime import datetime, timedelta

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.status import AttestationTrust, ConditionType
from confidential_summarizer.blueprint import is_debug
from confidential_summarizer.evidence import Evidence, Expectation, check, new_nonce
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.reconcile.summary import timestamp
from confidential_summarizer.release import HOST_DATA

VALIDITY = timedelta(hours=1)
"""How long evidence counts: a new group always gets a new host-data check, and a kept one is asked again hourly."""
RETRY_SECONDS = 2.0
"""While the page is not up yet."""


async def attest(context: Context) -> Outcome:
    """Check fresh evidence of one current group; evidence of the same policy counts for an hour."""
    observation = context.observation
    assert observation is not None  # noqa: S101 - the order of the phases
    previous = _still_valid(context)
    if previous is not None:
        return _verified(context, previous)
    addresses = [group.address for group in observation.ready if group.address]
    if not addresses:
        finding = Finding.true(
            ConditionType.ATTESTED, Reason.SCALED_TO_ZERO, "no group runs, so there is nothing to ask"
        )
        return Outcome(context, [finding])
    nonce = new_nonce()
    answer = await context.clients.pages.evidence(addresses[0], nonce)
    if answer is None:
        message = f"the group at {addresses[0]} has no evidence yet"
        finding = Finding.false(ConditionType.ATTESTED, Reason.PROGRESSING, message)
        return Outcome(context, [finding], waits=True, requeue=RETRY_SECONDS)
    authority = context.resource.spec.file_systems[0].key.attestation
    expectation = Expectation(
        authority=authority,
        host_data=[context.host_data],
        nonce=nonce,
        peer=answer.peer,
        now=context.now,
        debuggable=is_debug(context.resource),
    )
    verdict = check(Evidence.parse(answer.document), await context.clients.signing_keys(authority), expectation)
    if not verdict.passed:
        refused = "; ".join(f"{failure.name}: {failure.detail}" for failure in verdict.failures)
        return Outcome(context, [Finding.false(ConditionType.ATTESTED, Reason.EVIDENCE_REFUSED, refused)], waits=True)
    trust = AttestationTrust(authority=authority, verified_time=timestamp(context.now), claims=verdict.claims())
    return _verified(context, trust)


def _still_valid(context: Context) -> AttestationTrust | None:
    trust = context.resource.status.trust
    attestation = trust.attestation if trust else None
    if attestation is None or attestation.claims.get(HOST_DATA) != context.host_data:
        return None
    age = context.now - datetime.fromisoformat(attestation.verified_time)
    return attestation if timedelta(0) <= age < VALIDITY else None


def _verified(context: Context, trust: AttestationTrust) -> Outcome:
    message = f"{trust.authority} vouches for host-data {trust.claims.get(HOST_DATA)}"
    finding = Finding.true(ConditionType.ATTESTED, Reason.VERIFIED, message)
    return Outcome(context.with_(attestation=trust), [finding])
