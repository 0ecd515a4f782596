"""One container's rules from its image and from what its manifest says, whichever form the manifest has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy import capabilities as caps
from confidential_summarizer.policy.document import (
    ContainerRules,
    EnvRule,
    ExecProcess,
    IdentityRule,
    MountRule,
    PolicyDocument,
    PolicyFlags,
    UserRule,
)
from confidential_summarizer.policy.environment import closed, env_rules
from confidential_summarizer.policy.seccomp import profile_digest
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.text import SIDECAR_PACKAGE

_DEBUG_SHELLS = (ExecProcess(("/bin/sh",)), ExecProcess(("/bin/bash",)))
_SIGNAL_NAMES = """
HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ
VTALRM PROF WINCH IO PWR SYS
"""
_SIGNALS = {f"SIG{name}": number for number, name in enumerate(_SIGNAL_NAMES.split(), start=1)}


@dataclass(frozen=True)
class ContainerSpec:
    """What a manifest says of one container, once its form is left behind.

    Attributes:
        command: The whole command line, or None where the manifest leaves it to the image.
        working_dir: Where the manifest gives one.
        injected: Rules for variables that the platform adds.
        mounts: In the order of the policy, the platform's own included.
    """

    name: str
    image: str
    command: tuple[str, ...] | None
    env: tuple[EnvRule, ...] = ()
    injected: tuple[EnvRule, ...] = ()
    mounts: tuple[MountRule, ...] = ()
    exec_processes: tuple[ExecProcess, ...] = ()
    security: Mapping[str, Any] = field(default_factory=dict)
    seccomp_profile: str = ""
    working_dir: str | None = None


def container_rules(
    spec: ContainerSpec, images: Mapping[str, MeasuredImage], settings: PolicySettings
) -> ContainerRules:
    """The rules of one container.

    Raises:
        PolicyError: The image is not among those measured, or the manifest's security context is malformed.
    """
    if spec.image not in images:
        raise PolicyError(f"container {spec.name}: image {spec.image} was not measured, so nothing can pin it")
    measured = images[spec.image]
    config = measured.image.config
    sidecar = is_sidecar(spec.image, settings)
    privileged = truth(spec.security, "privileged", default=False)
    changes = spec.security.get("capabilities") or {}
    processes = spec.exec_processes
    if not settings.contract.repeats_exec_processes:
        processes = tuple(dict.fromkeys(processes))
    command = spec.command
    if command is None:
        command = settings.contract.sidecar_command if sidecar else image_command(measured)
    own = spec.env
    if settings.require_environment:
        own = tuple(replace(rule, required=rule.strategy == "string") for rule in own)
    variables = own if sidecar else env_rules(own, config.env, spec.injected)
    return ContainerRules(
        name="" if settings.omit_id and spec.name == spec.image else spec.name,
        id=None if settings.omit_id else spec.image,
        layers=measured.layers,
        command=command,
        env_rules=closed(variables) if settings.closed_patterns else variables,
        mounts=spec.mounts,
        capabilities=caps.capabilities(
            privileged=privileged, add=changes.get("add") or (), drop=changes.get("drop") or ()
        ),
        working_dir=spec.working_dir or config.working_dir or "/",
        user=_user(spec, "" if sidecar else config.user),
        signals=_signals("" if sidecar else config.stop_signal, settings),
        exec_processes=processes + (_DEBUG_SHELLS if settings.debug else ()),
        allow_elevated=privileged,
        allow_stdio_access=settings.allow_stdio_access,
        no_new_privileges=not truth(spec.security, "allowPrivilegeEscalation", default=True),
        seccomp_profile_sha256=profile_digest(spec.seccomp_profile),
    )


def image_command(measured: MeasuredImage) -> tuple[str, ...] | None:
    """What an image starts by itself: entry point and command, or None if it has neither."""
    config = measured.image.config
    if not config.entrypoint and not config.cmd:
        return None
    return (config.entrypoint or ()) + (config.cmd or ())


def policy_document(
    containers: Sequence[ContainerRules], settings: PolicySettings, images: Sequence[str], fragments: Sequence[Any] = ()
) -> PolicyDocument:
    """The whole policy of a container group.

    Args:
        containers: The manifest's containers, in order.
        settings: How to write the policy.
        images: Their references, which tell the service's own sidecars.
        fragments: Acceptable fragments that the manifest names.
    """
    sidecars = [is_sidecar(image, settings) for image in images]
    own = () if sidecars and all(sidecars) else (pause_container(settings),)
    defaults = () if settings.exclude_default_fragments else settings.constants.fragments
    if settings.infrastructure_svn and defaults:
        defaults = (replace(defaults[0], minimum_svn=settings.infrastructure_svn), *defaults[1:])
    return PolicyDocument(
        api_version=settings.contract.api_version,
        framework_version=settings.contract.framework_version,
        fragments=(*defaults, *settings.fragments, *fragments),
        containers=(*containers, *own),
        flags=PolicyFlags(
            allow_dump_stacks=settings.debug,
            allow_runtime_logging=settings.debug,
            allow_environment_variable_dropping=settings.drop_unknown_environment,
            **dict.fromkeys(settings.contract.flags, False),
        ),
        rules=settings.contract.rules,
        package=SIDECAR_PACKAGE if sidecars[:1] == [True] else "policy",
    )


def pause_container(settings: PolicySettings) -> ContainerRules:
    """The container that holds the group's name spaces; the service starts it in every group."""
    constants = settings.constants
    path, *others = constants.pause_env
    return ContainerRules(
        name="pause-container",
        id=None,
        layers=constants.pause_layers,
        command=constants.pause_command,
        env_rules=(EnvRule(path, required=True), *map(EnvRule, others), EnvRule("TERM=xterm")),
        mounts=(),
        capabilities=caps.PAUSE,
        signals=_signals("", settings),
        allow_stdio_access=settings.allow_stdio_access,
    )


def is_sidecar(image: str, settings: PolicySettings) -> bool:
    """Whether an image is one of the service's own."""
    return image.partition(":")[0] in settings.constants.sidecars


def _signals(stop_signal: str, settings: PolicySettings) -> tuple[int | str, ...]:
    own: tuple[int | str, ...] = ()
    if stop_signal:
        own = (_SIGNALS.get(stop_signal.upper(), stop_signal),)
    always = settings.contract.stop_signals
    return always + tuple(signal for signal in own if signal not in always)


def _user(spec: ContainerSpec, image_user: str) -> UserRule:
    user, group = (_identity(spec, key) for key in ("runAsUser", "runAsGroup"))
    if user is None and group is None and image_user:
        name, _, group_name = image_user.partition(":")
        user, group = _named(name), _named(group_name) if group_name else None
    return UserRule(user or IdentityRule(), (group or IdentityRule(),))


def _named(name: str) -> IdentityRule:
    return IdentityRule(name, "id" if name.isdigit() else "name")


def _identity(spec: ContainerSpec, key: str) -> IdentityRule | None:
    value = spec.security.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PolicyError(f"container {spec.name}: securityContext.{key} must be a whole number, not {value!r}")
    return IdentityRule(str(value), "id")


def truth(security: Mapping[str, Any], key: str, *, default: bool) -> bool:
    """What a security context says of a property, as a boolean or in words.

    Raises:
        PolicyError: It says neither true nor false.
    """
    value = security.get(key)
    if value is None:
        return default
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise PolicyError(f"securityContext.{key} must be true or false, not {value!r}")
    return value
