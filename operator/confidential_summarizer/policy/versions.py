"""What a guest makes of policies that are older or newer than its own rules."""

from dataclasses import replace
from enum import Enum

from confidential_summarizer.policy.document import ContainerRules, PolicyDocument, PolicyFlags, UserRule

_INTRODUCED: dict[str, tuple[str, bool]] = {
    "mount_device": ("0.1.0", False),
    "mount_overlay": ("0.1.0", False),
    "create_container": ("0.1.0", False),
    "unmount_device": ("0.2.0", True),
    "exec_in_container": ("0.2.0", True),
    "exec_external": ("0.3.0", True),
    "shutdown_container": ("0.4.0", True),
    "signal_container_process": ("0.5.0", True),
    "unmount_overlay": ("0.6.0", True),
    "plan9_mount": ("0.6.0", True),
    "plan9_unmount": ("0.6.0", True),
    "get_properties": ("0.7.0", True),
    "dump_stacks": ("0.7.0", True),
    "runtime_logging": ("0.8.0", True),
    "load_fragment": ("0.9.0", False),
    "scratch_mount": ("0.10.0", True),
    "scratch_unmount": ("0.10.0", True),
}
"""Enforcement points: the API version that introduced each, and whether older policies allow it."""

_ALWAYS_BY_FRAMEWORK = frozenset({"rw_mount_device", "rw_unmount_device"})
_KILL_AND_TERMINATE = (9, 15)


class Defaults(Enum):
    """What stands in for a rule that a policy lacks."""

    NONE = "the policy has the rule, or the framework's own counts"
    ALLOW = "the policy is older than the rule, which then allows"
    DENY = "the policy should have the rule"


def at_least(version: str, other: str) -> bool:
    """Whether a dotted version is not older than another."""
    return _numbers(version) >= _numbers(other)


def default_result(rule: str, document: PolicyDocument) -> Defaults:
    """What to do about an enforcement point."""
    if rule in document.rules or rule in _ALWAYS_BY_FRAMEWORK:
        return Defaults.NONE
    introduced, allowed = _INTRODUCED.get(rule, ("0.0.0", False))
    if not at_least(document.api_version, introduced) and allowed:
        return Defaults.ALLOW
    return Defaults.DENY


def with_framework_defaults(document: PolicyDocument) -> PolicyDocument:
    """A policy as the guest's newer framework reads it: fields that its version did not know get their defaults."""
    version = document.framework_version
    flags = document.flags
    if not at_least(version, "0.2.2"):
        flags = PolicyFlags(**{**vars(flags), "allow_capability_dropping": False})
    return replace(document, containers=tuple(_container(item, version) for item in document.containers), flags=flags)


def _container(container: ContainerRules, version: str) -> ContainerRules:
    if not at_least(version, "0.4.1"):
        container = replace(container, signals=tuple(dict.fromkeys((*container.signals, *_KILL_AND_TERMINATE))))
    if not at_least(version, "0.2.3"):
        container = replace(container, seccomp_profile_sha256="")
    if not at_least(version, "0.2.2"):
        container = replace(container, capabilities=None)
    if not at_least(version, "0.2.1"):
        container = replace(container, user=UserRule())
    if not at_least(version, "0.2.0"):
        container = replace(container, no_new_privileges=False)
    return container


def _numbers(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError:
        return (1 << 30,)  # an unreadable version counts as newer than any: refused
