"""Phase: ask every running group for evidence and check it, as the data owner would.

A verdict is about one group with one policy. It is kept by the group's identity, so that a group made anew is asked
at once, and a group that stays every hour.
"""

import asyncio
from datetime import datetime, timedelta

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import AttestationTrust, GroupTrust
from confidential_summarizer.blueprint import is_debug
from confidential_summarizer.errors import IntegrityError, TransientError, WaitingError
from confidential_summarizer.evidence import Evidence, Expectation, Verdict, check, new_nonce
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.conditions import timestamp
from confidential_summarizer.targets.observation import Group, Observation

VALIDITY = timedelta(hours=1)
"""How long the evidence of a group counts: its policy cannot change while it runs, but its page can be stolen."""
RETRY_SECONDS = 2.0
"""While the page is not up yet."""


async def attest(
    clients: Clients,
    resource: ConfidentialSummarizer,
    observation: Observation,
    known: AttestationTrust | None,
    now: datetime,
) -> AttestationTrust | None:
    """Check fresh evidence of each current group that has none that still counts.

    Args:
        clients: The edges.
        resource: Whose groups.
        observation: The groups as they are.
        known: The verdicts up to now.
        now: The present.

    Returns:
        The verdicts on all current groups; None if there is none to ask.

    Raises:
        IntegrityError: The evidence of a group is not what it has to be; the message names the group and the claim.
        TransientError: A group that was checked before does not answer, or the attestation service does not.
        WaitingError: A new group has no evidence yet.
    """
    authority = resource.spec.attestation
    groups = [group for group in observation.ready if group.address]
    kept = {g: trust for g in groups if (trust := _kept(known, authority, g, now)) is not None}
    missing = [group for group in groups if group not in kept]
    verdicts = await asyncio.gather(*(_verdict(clients, resource, authority, g, known, now) for g in missing))
    if not groups:
        return None
    if not missing:
        return known
    checked = {group: _trust(group, now) for group in missing}
    return AttestationTrust(
        authority=authority,
        verified_time=timestamp(now),
        claims=verdicts[0].claims(),
        groups=[kept.get(group) or checked[group] for group in groups],
    )


def identity(group: Group) -> str:
    """Return what tells a group from a later one of the same name; its name, where the target knows nothing better."""
    return group.identity or group.name


def _kept(known: AttestationTrust | None, authority: str, group: Group, now: datetime) -> GroupTrust | None:
    trust = _known(known, authority, group)
    fresh = trust is not None and timedelta(0) <= now - datetime.fromisoformat(trust.verified_time) < VALIDITY
    return trust if fresh else None


def _known(known: AttestationTrust | None, authority: str, group: Group) -> GroupTrust | None:
    verdicts = known.groups if known is not None and known.authority == authority else []
    same = (v for v in verdicts if (v.identity, v.host_data) == (identity(group), group.host_data))
    return next(same, None)


def _trust(group: Group, now: datetime) -> GroupTrust:
    return GroupTrust(
        name=group.name, identity=identity(group), host_data=group.host_data, verified_time=timestamp(now)
    )


async def _verdict(
    clients: Clients,
    resource: ConfidentialSummarizer,
    authority: str,
    group: Group,
    known: AttestationTrust | None,
    now: datetime,
) -> Verdict:
    nonce = new_nonce()
    answer = await clients.pages.evidence(group.address or "", nonce)
    if answer is None and _known(known, authority, group) is not None:
        raise TransientError(f"group {group.name} does not answer for its evidence", retry_after=RETRY_SECONDS * 10)
    if answer is None:
        raise WaitingError(
            f"group {group.name} has no evidence yet", reason=Reason.PROGRESSING, retry_after=RETRY_SECONDS
        )
    expectation = Expectation(
        authority=authority,
        host_data=[group.host_data],
        nonce=nonce,
        peer=answer.peer,
        now=now,
        debuggable=is_debug(resource),
    )
    verdict = check(Evidence.parse(answer.document), await clients.signing_keys(authority), expectation)
    if not verdict.passed:
        refused = "; ".join(f"{failure.name}: {failure.detail}" for failure in verdict.failures)
        raise IntegrityError(f"group {group.name}: {refused}")
    return verdict
