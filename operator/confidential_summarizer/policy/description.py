"""What a policy allows, for people: in words, and as plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from confidential_summarizer.policy.capabilities import PRIVILEGED, UNPRIVILEGED
from confidential_summarizer.policy.document import Capabilities, ContainerRules, EnvRule, PolicyDocument
from confidential_summarizer.policy.environment import PLATFORM


def describe(document: PolicyDocument, host_data: str) -> dict[str, Any]:
    """The policy as plain data: containers with all that they may do, flags and fragments."""
    return {
        "hostData": host_data,
        "apiVersion": document.api_version,
        "frameworkVersion": document.framework_version,
        "debug": document.allows_debugging,
        "flags": asdict(document.flags),
        "fragments": [fragment.to_json() for fragment in document.fragments],
        "containers": [_container(container) for container in document.containers],
    }


def sentences(document: PolicyDocument) -> list[str]:
    """The policy in words, the most important first."""
    lines = []
    if document.allows_debugging:
        lines.append("DEBUG: shells, stack dumps or guest logs are open to whoever runs the group.")
    for container in document.containers:
        lines += _words(container)
    for fragment in document.fragments:
        lines.append(
            f"More {' and '.join(fragment.includes)} may come from {fragment.feed}, version {fragment.minimum_svn} or "
            f"later, if {fragment.issuer} signed them."
        )
    if document.flags.allow_unencrypted_scratch:
        lines.append("Scratch space may be unencrypted.")
    if document.flags.allow_environment_variable_dropping:
        lines.append("Variables that no rule covers are left out; the container starts without them.")
    return lines


def openings(document: PolicyDocument) -> list[str]:
    """What lets whoever runs the group look into it; a policy for private text has none of it."""
    found = []
    if document.flags.allow_dump_stacks or document.flags.allow_runtime_logging:
        found.append("the guest's stacks and logs can be read")
    for container in document.containers:
        name = container.name or container.id or "a container"
        if container.exec_processes:
            commands = "; ".join(" ".join(process.command) for process in container.exec_processes)
            found.append(f"these can be run in {name}: {commands}")
        if container.allow_stdio_access and container.name != "pause-container":
            found.append(f"the output of {name} can be read")
    return found


def is_wildcard(rule: EnvRule) -> bool:
    """Whether a rule leaves a value open that the manifest, and not the platform, is responsible for."""
    return rule.strategy == "re2" and rule not in PLATFORM


def _container(container: ContainerRules) -> Mapping[str, Any]:
    return {
        "name": container.name,
        "image": container.id,
        "layers": list(container.layers),
        "command": None if container.command is None else list(container.command),
        "workingDirectory": container.working_dir,
        "user": container.to_json()["user"],
        "environment": [
            {"rule": rule.pattern, "required": rule.required, "from": _origin(rule)} for rule in container.env_rules
        ],
        "mounts": [asdict(mount) | {"options": list(mount.options)} for mount in container.mounts],
        "exec": [list(process.command) for process in container.exec_processes],
        "signals": list(container.signals),
        "privileged": container.allow_elevated,
        "privilegeEscalation": not container.no_new_privileges,
        "capabilities": capability_words(container.capabilities),
        "seccompProfile": container.seccomp_profile_sha256 or None,
        "outputReadable": container.allow_stdio_access,
    }


def _origin(rule: EnvRule) -> str:
    if rule in PLATFORM:
        return "platform"
    return "any value that matches" if rule.strategy == "re2" else "pinned"


def capability_words(capabilities: Capabilities | None) -> str:
    """Which capabilities a container may ever have."""
    return "the guest's default" if capabilities is None else set_words(capabilities.bounding)


def set_words(names: Iterable[str]) -> str:
    """Which capabilities a set has, told by the usual ones where that is shorter."""
    given = set(names)
    base, name = (set(PRIVILEGED), "all") if given >= set(PRIVILEGED) else (set(UNPRIVILEGED), "usual")
    added, dropped = sorted(given - base), sorted(base - given)
    if len(given) < len(added) + len(dropped):
        return f"only {', '.join(sorted(given))}" if given else "none"
    return name + "".join(f" +{item}" for item in added) + "".join(f" -{item}" for item in dropped)


def _words(container: ContainerRules) -> list[str]:
    name = container.name or container.id or "A container"
    image = f" from {container.id}" if container.id else ""
    command = " ".join(container.command) if container.command is not None else "nothing: it can never start"
    lines = [f"{name}{image} runs {command or '(no command)'} in {container.working_dir}."]
    if container.allow_elevated:
        lines.append(f"{name} is PRIVILEGED.")
    if container.allow_stdio_access and container.name != "pause-container":
        lines.append(f"{name} shows its output to whoever runs the group.")
    if container.exec_processes:
        commands = "; ".join(" ".join(process.command) for process in container.exec_processes)
        lines.append(f"{name} lets these be run in it: {commands}.")
    wild = [rule.pattern for rule in container.env_rules if is_wildcard(rule)]
    if wild:
        lines.append(f"{name} leaves the values of variables open: {', '.join(wild)}.")
    return lines
