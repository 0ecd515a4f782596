"""Build release policies, add and remove host-data, and say what changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.release.claims import (
    COMPLIANCE_STATUS,
    COMPLIANT_UVM,
    HOST_DATA,
    IS_DEBUGGABLE,
    MIGRATION_ALLOWED,
    VMPL,
    checked_host_data,
)
from confidential_summarizer.release.floors import floors
from confidential_summarizer.release.grammar import AuthorityRule, Condition, ReleasePolicy, authority_url

DEFAULT_CONDITIONS = (
    Condition(COMPLIANCE_STATUS, COMPLIANT_UVM),
    Condition(IS_DEBUGGABLE, "false"),
    Condition(VMPL, "0"),
    Condition(MIGRATION_ALLOWED, "false"),
    *(floor.condition for floor in floors()),
)
"""What every rule asks for besides the host-data: a genuine utility VM that nobody can debug or move, at the highest
privilege, on firmware without the holes that are known. Texts, where the services compare a claim's text."""

NOBODY = "revoked"
"""Stands where the last host-data was revoked: no report's host-data is this text, and a policy without any rule
is refused by the vault."""


def build(
    host_data: Iterable[str], authorities: Iterable[str], conditions: Sequence[Condition] = DEFAULT_CONDITIONS
) -> ReleasePolicy:
    """Make a policy with one rule for each pair of host-data and authority.

    Args:
        host_data: SHA-256 hashes of the admitted policies, 64 hex digits each.
        authorities: Attestation services, by host name or https URL.
        conditions: What each rule asks for besides.

    Raises:
        ReleasePolicyError: Nothing would be admitted, or a value has the wrong form.
    """
    rules = tuple(
        _rule_for(hash_, authority_url(authority), tuple(conditions))
        for hash_, authority in product(map(checked_host_data, host_data), authorities)
    )
    if not rules:
        raise ReleasePolicyError("A release policy needs at least one host-data and one attestation authority.")
    return ReleasePolicy(tuple(dict.fromkeys(rules)))


def add_host_data(policy: ReleasePolicy, host_data: str, authorities: Iterable[str] = ()) -> ReleasePolicy:
    """Admit one more host-data, and keep every rule that is there.

    Args:
        policy: The policy as the vault has it.
        host_data: The hash to admit.
        authorities: Attestation services that may vouch for it; those of the policy where none is given.

    Returns:
        The policy with a rule for each authority. The new rule asks for the same claims as that authority's first
        rule that binds a host-data, so that claims which the owner added hold for the new hash as well, and for what
        a new policy asks of the claims that rule does not name.
        The same policy, if it admits the hash already.
    """
    hash_ = checked_host_data(host_data)
    rules = [rule for rule in policy.rules if rule.host_data != NOBODY]
    for authority in [authority_url(name) for name in authorities] or list(policy.authorities):
        rule = _rule_for(hash_, authority, _template(policy, authority))
        if not any(_admits_as_much(other, rule) for other in rules):
            rules.append(rule)
    return replace(policy, rules=tuple(rules))


def remove_host_data(policy: ReleasePolicy, host_data: str) -> ReleasePolicy:
    """Admit one host-data less; removing the last leaves a policy that lets the key out to nobody.

    Rules that bind no host-data stay: `release.weaknesses` names them.
    """
    hash_ = checked_host_data(host_data)
    kept = tuple(rule for rule in policy.rules if rule.host_data != hash_)
    if kept:
        return replace(policy, rules=kept)
    closed = (_rule_for(NOBODY, authority, _template(policy, authority)) for authority in policy.authorities)
    return replace(policy, rules=tuple(closed))


@dataclass(frozen=True)
class PolicyChange:
    """What is different between two policies, rule by rule."""

    added: tuple[AuthorityRule, ...]
    removed: tuple[AuthorityRule, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each change: `+ host-data 3f2a… vouched for by https://…`."""
        return tuple(
            [f"+ {_summary(rule)}" for rule in self.added] + [f"- {_summary(rule)}" for rule in self.removed],
        )


def compare(old: ReleasePolicy | None, new: ReleasePolicy) -> PolicyChange:
    """Say which rules came and which went; the order of rules and conditions means nothing."""
    before = old.rules if old is not None else ()
    return PolicyChange(
        added=tuple(rule for rule in new.rules if not any(_same_rule(rule, other) for other in before)),
        removed=tuple(rule for rule in before if not any(_same_rule(rule, other) for other in new.rules)),
    )


def _rule_for(host_data: str, authority: str, others: tuple[Condition, ...]) -> AuthorityRule:
    return AuthorityRule(authority, (Condition(HOST_DATA, host_data), *others))


def _template(policy: ReleasePolicy, authority: str) -> tuple[Condition, ...]:
    for rule in policy.rules:
        if rule.authority == authority and rule.host_data is not None:
            named = {condition.claim for condition in rule.other_conditions}
            added = (condition for condition in DEFAULT_CONDITIONS if condition.claim not in named)
            return (*rule.other_conditions, *added)
    return DEFAULT_CONDITIONS


def _admits_as_much(other: AuthorityRule, rule: AuthorityRule) -> bool:
    """Tell whether a rule of ours, which is an allOf, would change nothing beside the other: it asks for as much."""
    return (
        rule.authority == other.authority
        and other.combination == "allOf"
        and set(other.conditions) <= set(rule.conditions)
    )


def _same_rule(one: AuthorityRule, other: AuthorityRule) -> bool:
    return (
        one.authority == other.authority
        and one.combination == other.combination
        and set(one.conditions) == set(other.conditions)
    )


def _summary(rule: AuthorityRule) -> str:
    claims = "; ".join(str(condition) for condition in rule.other_conditions)
    subject = f"host-data {rule.host_data}" if rule.host_data else "ANY host-data"
    return f"{subject} vouched for by {rule.authority}" + (f", if {claims}" if claims else "")
