"""Comparing a request to the guest with one container's rules, as the enforcement framework 0.5.0 does it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from confidential_summarizer.policy.capabilities import PRIVILEGED, UNPRIVILEGED
from confidential_summarizer.policy.document import (
    Capabilities,
    ContainerRules,
    EnvRule,
    IdentityRule,
    MountRule,
    UserRule,
)

SANDBOX_PREFIX, HUGE_PAGES_PREFIX, PLAN9_PREFIX = "sandbox://", "hugepages://", "plan9://"
_FLAGS_AT_START = re.compile(r"(\^?)\(\?([ims]+)\)")
_FOREIGN_TO_RE2 = re.compile(r"\(\?[^:imsU-]|\\[1-9pPCQZ]|\[\[:")
"""Constructs that RE2 refuses, or that Python gives another meaning."""

_EMPTY = Capabilities((), (), (), (), ())
_PRIVILEGED = Capabilities((), PRIVILEGED, PRIVILEGED, PRIVILEGED, PRIVILEGED)
_UNPRIVILEGED = Capabilities((), UNPRIVILEGED, UNPRIVILEGED, (), UNPRIVILEGED)


@dataclass(frozen=True)
class Identity:
    """A user or group as the guest sees it: its number and its name, both as text."""

    id: str
    name: str = ""


@dataclass(frozen=True)
class MountContext:
    """What mount sources are compared with: the sandbox's folders, and the plan9 mounts made for this container."""

    sandbox_dir: str
    huge_pages_dir: str
    plan9_mounts: frozenset[str]


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """An RE2 expression that must match the whole text; None, which matches nothing, for what cannot be translated."""
    anchored = ("" if pattern.startswith("^") else "^") + pattern + ("" if pattern.endswith("$") else "$")
    if _FOREIGN_TO_RE2.search(anchored):
        return None
    # RE2 takes flags after the anchor, Python only before it; and Python's $ matches before a last newline too.
    flags = _FLAGS_AT_START.match(anchored)
    if flags:
        anchored = f"(?{flags.group(2)}){flags.group(1)}{anchored[flags.end() :]}"
    try:
        return re.compile(anchored[:-1] + r"\Z", re.ASCII)
    except re.error:
        return None


def pattern_matches(pattern: str, text: str) -> bool:
    """Whether an RE2 expression, anchored at both ends, matches a text."""
    compiled = compile_pattern(pattern)
    return compiled is not None and compiled.search(text) is not None


def env_matches(rule: EnvRule, variable: str) -> bool:
    """Whether a rule covers `NAME=value`."""
    return rule.pattern == variable if rule.strategy == "string" else pattern_matches(rule.pattern, variable)


def covered(rules: Iterable[EnvRule], variables: Iterable[str]) -> frozenset[str]:
    """The variables that some rule covers."""
    rules = tuple(rules)
    return frozenset(variable for variable in variables if any(env_matches(rule, variable) for rule in rules))


def missing_required(rules: Iterable[EnvRule], variables: Sequence[str]) -> bool:
    """Whether a required rule is met by no variable."""
    return any(rule.required and not any(env_matches(rule, variable) for variable in variables) for rule in rules)


def environment_ok(rules: Sequence[EnvRule], variables: Iterable[str]) -> bool:
    """Whether each required rule is met and each variable is covered."""
    variables = tuple(variables)
    return not missing_required(rules, variables) and len(covered(rules, variables)) == len(set(variables))


def identity_matches(rule: IdentityRule, identity: Identity) -> bool:
    """Whether a rule allows a user or group."""
    match rule.strategy:
        case "any":
            return True
        case "id":
            return rule.pattern == identity.id
        case "name":
            return rule.pattern == identity.name
        case "re2":
            return pattern_matches(rule.pattern, identity.name)


def user_ok(rule: UserRule, user: Identity, groups: Iterable[Identity], umask: str) -> bool:
    """Whether a process may run as this user with these groups."""
    return (
        rule.umask == umask
        and identity_matches(rule.user, user)
        and all(any(identity_matches(allowed, group) for allowed in rule.groups) for group in groups)
    )


def mount_matches(rule: MountRule, mount: MountRule, context: MountContext) -> bool:
    """Whether a rule allows a mount; options are compared as sets of equal count."""
    return (
        mount.type == rule.type
        and mount.destination != ""
        and mount.destination == rule.destination
        and len(mount.options) == len(rule.options)
        and set(mount.options) == set(rule.options)
        and _source_matches(rule.source, mount.source, context)
    )


def _source_matches(allowed: str, source: str, context: MountContext) -> bool:
    if allowed == source:
        return True
    for prefix, folder in ((SANDBOX_PREFIX, context.sandbox_dir), (HUGE_PAGES_PREFIX, context.huge_pages_dir)):
        if allowed.startswith(prefix) and pattern_matches(allowed.replace(prefix, folder), source):
            return True
    return allowed.startswith(PLAN9_PREFIX) and source in context.plan9_mounts


def allowed_capabilities(container: ContainerRules, *, privileged: bool) -> Capabilities:
    """A container's sets; policies older than the field get the guest's defaults."""
    if container.capabilities is not None:
        return container.capabilities
    return _PRIVILEGED if container.allow_elevated and privileged else _UNPRIVILEGED


def capabilities_equal(allowed: Capabilities, requested: Capabilities) -> bool:
    """Whether all five sets are the same."""
    return all(
        len(getattr(allowed, field.name)) == len(getattr(requested, field.name))
        and set(getattr(allowed, field.name)) == set(getattr(requested, field.name))
        for field in fields(Capabilities)
    )


def intersect(allowed: Capabilities, requested: Capabilities) -> Capabilities:
    """Of the requested capabilities those that are allowed, each set sorted."""
    return Capabilities(
        **{
            field.name: tuple(sorted(set(getattr(requested, field.name)) & set(getattr(allowed, field.name))))
            for field in fields(Capabilities)
        }
    )


def size(capabilities: Capabilities) -> int:
    """How many capabilities the five sets hold together."""
    return sum(len(getattr(capabilities, field.name)) for field in fields(Capabilities))


NO_CAPABILITIES = _EMPTY
