"""Decide as a vault does whether a token lets a key out, with a reason for each claim that does not fit."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confidential_summarizer.release.approval import NOBODY
from confidential_summarizer.release.claims import (
    COMPLIANCE_STATUS,
    COMPLIANT_UVM,
    HOST_DATA,
    IS_DEBUGGABLE,
    MIGRATION_ALLOWED,
    VMPL,
    checked_host_data,
    claim_text,
    claim_value,
)
from confidential_summarizer.release.floors import Floor, floors
from confidential_summarizer.release.grammar import AuthorityRule, Condition, ReleasePolicy, authority_url


@dataclass(frozen=True)
class Failure:
    """Why one rule does not let the key out."""

    claim: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.claim} is {self.actual}, the release policy wants {self.expected}"


@dataclass(frozen=True)
class Evaluation:
    """The answer for one token.

    Attributes:
        admitted: Whether some rule holds.
        failures: For each rule, in the policy's order, what does not fit; an empty entry is a rule that holds.
    """

    admitted: bool
    failures: tuple[tuple[Failure, ...], ...]

    @property
    def nearest(self) -> tuple[Failure, ...]:
        """The failures of the rule that came closest, which is the one to explain to a person."""
        return min(self.failures, key=len, default=())


def evaluate(policy: ReleasePolicy, claims: Mapping[str, object]) -> Evaluation:
    """Compare a verified token's claims with the policy.

    Args:
        policy: The key's release policy.
        claims: The token's payload. Its `iss` chooses the rules; signature and times are the caller's to check.
    """
    failures = tuple(_rule_failures(rule, claims) for rule in policy.rules)
    return Evaluation(admitted=any(not failed for failed in failures), failures=failures)


@dataclass(frozen=True)
class Admission:
    """Whether a key would be let out to a group that has not started yet.

    Attributes:
        admitted: Some rule fits everything that can be known beforehand.
        reason: Why not, one sentence for a person.
    """

    admitted: bool
    reason: str = ""


def admits(policy: ReleasePolicy, host_data: str, *, authority: str, debuggable: bool = False) -> Admission:
    """Say whether a genuine container group with this host-data would get the key.

    Args:
        policy: The key's release policy.
        host_data: SHA-256 of the group's policy in hex.
        authority: The attestation service that the group will ask, by host name or URL.
        debuggable: Whether the group's guest is started debuggable.

    Raises:
        ReleasePolicyError: The host-data or the authority has the wrong form.
    """
    issuer = authority_url(authority)
    known: dict[str, object] = {
        "iss": issuer,
        HOST_DATA: checked_host_data(host_data),
        COMPLIANCE_STATUS: COMPLIANT_UVM,
        IS_DEBUGGABLE: debuggable,
        VMPL: 0,
        MIGRATION_ALLOWED: False,
        "x-ms-attestation-type": "sevsnpvm",
    }
    for rule in policy.rules:
        decided = AuthorityRule(rule.authority, tuple(c for c in rule.conditions if c.claim in known), rule.combination)
        # A claim that only a running group shows may be the one that is enough.
        hopeful = rule.combination == "anyOf" and decided != rule and rule.authority == issuer
        if hopeful or not _rule_failures(decided, known):
            return Admission(True)
    return Admission(False, _refusal(policy, host_data, issuer, known))


def weaknesses(policy: ReleasePolicy) -> tuple[str, ...]:
    """Name what the policy leaves open: each a sentence, none for a policy that `build` makes."""
    found: list[str] = []
    for rule in policy.rules:
        where = f"The rule for {rule.authority}"
        if rule.host_data is None:
            found.append(f"{where} binds no host-data: any container group that it vouches for gets the key.")
        if not _demands(rule, IS_DEBUGGABLE, "false"):
            found.append(f"{where} admits a debuggable guest, whose memory the host can read.")
        if not _demands(rule, COMPLIANCE_STATUS, COMPLIANT_UVM):
            found.append(f"{where} does not ask for a utility VM endorsed by Microsoft ({COMPLIANCE_STATUS}).")
        if not _demands(rule, VMPL, "0"):
            found.append(f"{where} does not ask for {VMPL} 0.")
        if not _demands(rule, MIGRATION_ALLOWED, "false"):
            found.append(f"{where} admits a guest that may be moved to another machine.")
        found += (
            f"{where} admits {floor.name} older than {floor.minimum}. Revoke the hash and approve it again."
            for floor in floors()
            if not _demands_at_least(rule, floor)
        )
    return tuple(dict.fromkeys(found))


def _refusal(policy: ReleasePolicy, host_data: str, issuer: str, known: Mapping[str, object]) -> str:
    if issuer not in policy.authorities:
        return f"The release policy trusts {', '.join(policy.authorities)}, but the group asks {issuer}."
    if host_data.lower() not in policy.host_data:
        approved = [value[:12] + "…" for value in policy.host_data if value != NOBODY]
        return (
            f"The release policy does not admit host-data {host_data[:12]}…; "
            f"it admits {', '.join(approved) if approved else 'none'}."
        )
    return "; ".join(str(failure) for failure in evaluate(policy, known).nearest) + "."


def _demands(rule: AuthorityRule, claim: str, value: str) -> bool:
    fits = any(
        c.claim == claim and c.operator == "equals" and claim_text(c.value).lower() == value for c in rule.conditions
    )
    return fits and (rule.combination == "allOf" or len(rule.conditions) == 1)


def _demands_at_least(rule: AuthorityRule, floor: Floor) -> bool:
    least = ("equals", "greater", "greaterOrEquals")
    fits = any(
        c.claim == floor.claim and c.operator in least and isinstance(c.value, int | float) and floor.minimum <= c.value
        for c in rule.conditions
    )
    return fits and (rule.combination == "allOf" or len(rule.conditions) == 1)


def _rule_failures(rule: AuthorityRule, claims: Mapping[str, object]) -> tuple[Failure, ...]:
    issuer = claim_text(claims.get("iss", "")).rstrip("/")
    if issuer != rule.authority:
        return (Failure("iss", rule.authority, issuer or "absent"),)
    failed = tuple(failure for c in rule.conditions if (failure := _failure(c, claims)))
    if rule.combination == "anyOf" and len(failed) < len(rule.conditions):
        return ()
    return failed


def _failure(condition: Condition, claims: Mapping[str, object]) -> Failure | None:
    actual = claim_value(claims, condition.claim)
    if _holds(condition, actual):
        return None
    expected = f"{condition.operator} {claim_text(condition.value)}".removeprefix("equals ")
    return Failure(condition.claim, expected, "absent" if actual is None else claim_text(actual))


def _holds(condition: Condition, actual: object | None) -> bool:
    expected = claim_text(condition.value)
    if condition.operator == "exists":
        return (actual is not None) == (expected.lower() == "true")
    if actual is None:
        return False
    if condition.operator in ("equals", "notEquals"):
        return (claim_text(actual) == expected) == (condition.operator == "equals")
    try:
        return _ORDERS[condition.operator](float(claim_text(actual)), float(expected))
    except ValueError:
        return False


_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "less": operator.lt,
    "lessOrEquals": operator.le,
    "greater": operator.gt,
    "greaterOrEquals": operator.ge,
}
