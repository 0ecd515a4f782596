"""Finding the one set of rules that a request fits, and saying what is wrong where none does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from confidential_summarizer.policy import matching
from confidential_summarizer.policy.document import Capabilities, ContainerRules, MountRule, PolicyFlags
from confidential_summarizer.policy.matching import NO_CAPABILITIES
from confidential_summarizer.policy.request import Request

Accepts = Callable[[ContainerRules], bool]
MountOk = Callable[[ContainerRules, MountRule], bool]


@dataclass(frozen=True)
class Narrowing:
    """How far a request came: the containers left after each step, and what the process would get."""

    after_first: tuple[ContainerRules, ...]
    after_env: tuple[ContainerRules, ...]
    after_capabilities: tuple[ContainerRules, ...]
    env_list: tuple[str, ...]
    capabilities: Capabilities
    ambiguous_capabilities: bool = False

    @property
    def ambiguous_stdio(self) -> bool:
        """Whether the containers left differ in what only they can tell apart."""
        return len({container.allow_stdio_access for container in self.after_capabilities}) > 1

    @property
    def containers(self) -> tuple[ContainerRules, ...]:
        """The containers that fit in every respect."""
        return () if self.ambiguous_stdio else self.after_capabilities


def narrow(containers: Iterable[ContainerRules], request: Request, flags: PolicyFlags, accepts: Accepts) -> Narrowing:
    """Keep the containers that `accepts` lets through, then those whose variables and capabilities fit."""
    first = tuple(container for container in containers if accepts(container))
    env = _environment(first, request, flags)
    if env is None:
        return Narrowing(first, (), (), (), NO_CAPABILITIES)
    after_env = tuple(container for container in first if matching.environment_ok(container.env_rules, env))
    capabilities = _capabilities(after_env, request, flags)
    if capabilities is None:
        return Narrowing(first, after_env, (), env, NO_CAPABILITIES, ambiguous_capabilities=bool(after_env))
    fitting = tuple(
        container
        for container in after_env
        if matching.capabilities_equal(
            matching.allowed_capabilities(container, privileged=request.privileged), capabilities
        )
    )
    return Narrowing(first, after_env, fitting, env, capabilities)


def _environment(containers: Sequence[ContainerRules], request: Request, flags: PolicyFlags) -> tuple[str, ...] | None:
    """The variables that remain: of the largest covered sets, which must all be the same one."""
    if not flags.allow_environment_variable_dropping:
        return request.env
    sets = [matching.covered(container.env_rules, request.env) for container in containers]
    largest = {kept for kept in sets if len(kept) == max(map(len, sets))}
    if len(largest) != 1:
        return None
    return tuple(dict.fromkeys(variable for variable in request.env if variable in next(iter(largest))))


def _capabilities(containers: Sequence[ContainerRules], request: Request, flags: PolicyFlags) -> Capabilities | None:
    if not flags.allow_capability_dropping:
        return request.capabilities
    sets = [
        matching.intersect(
            matching.allowed_capabilities(container, privileged=request.privileged), request.capabilities
        )
        for container in containers
    ]
    largest = {kept for kept in sets if matching.size(kept) == max(map(matching.size, sets))}
    return next(iter(largest)) if len(largest) == 1 else None


def create_errors(
    containers: Sequence[ContainerRules], request: Request, narrowed: Narrowing, *, started: bool, mount_ok: MountOk
) -> list[str]:
    """What is wrong with starting a container, in the framework's words; empty if nothing is."""
    if narrowed.containers and not started:
        return []
    errors = _process_errors(containers, request, narrowed)
    if started:
        errors.append("container already started")
    if (request.privileged and not any(container.allow_elevated for container in containers)) or not containers:
        errors.append("privileged escalation not allowed")
    if not any(container.command == request.command for container in containers):
        errors.append("invalid command")
    if not any(container.seccomp_profile_sha256 == request.seccomp_profile_sha256 for container in containers):
        errors.append("invalid seccomp")
    wrong = [mount.destination for mount in request.mounts if not any(mount_ok(item, mount) for item in containers)]
    if wrong:
        errors.append("invalid mount list: " + ",".join(wrong))
    if request.devices:
        errors.append("devices not supported")
    if narrowed.ambiguous_stdio:
        errors.append("containers only distinguishable by allow_stdio_access")
    if narrowed.ambiguous_capabilities:
        errors.append("containers only distinguishable by capabilties")
    if not any(
        matching.user_ok(container.user, request.user, request.groups, request.umask) for container in containers
    ):
        errors.append("invalid user")
    if not any(request.no_new_privileges or not container.no_new_privileges for container in containers):
        errors.append("invalid noNewPrivileges")
    return errors


def exec_errors(
    containers: Sequence[ContainerRules], request: Request, narrowed: Narrowing, *, started: bool
) -> list[str]:
    """What is wrong with starting a process in a container, in the framework's words; empty if nothing is."""
    if narrowed.containers and started:
        return []
    errors = _process_errors(containers, request, narrowed)
    if not started:
        errors.append("container not started")
    if not any(process.command == request.command for item in containers for process in item.exec_processes):
        errors.append("invalid command")
    return errors


def _process_errors(containers: Sequence[ContainerRules], request: Request, narrowed: Narrowing) -> list[str]:
    errors = []
    rules = [rule for container in containers for rule in container.env_rules]
    known = matching.covered(rules, request.env)
    unknown = [variable.partition("=")[0] for variable in request.env if variable not in known]
    if unknown:
        errors.append("invalid env list: " + ",".join(unknown))
    if any(matching.missing_required(container.env_rules, request.env) for container in narrowed.after_first):
        errors.append("missing required environment variable")
    if not any(container.working_dir == request.working_dir for container in containers):
        errors.append("invalid working directory")
    if narrowed.after_env and not narrowed.after_capabilities:
        errors.append("capabilities don't match")
    return errors
