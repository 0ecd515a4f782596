"""The guest's side: whether a policy lets a request through.

Rules: the enforcement framework of the utility VM, version 0.5.0 with API 0.12.0, for Linux containers;
`PolicyDocument`s of older framework versions get the defaults that it gives them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from confidential_summarizer.policy import matching
from confidential_summarizer.policy.decision import Decision
from confidential_summarizer.policy.document import Capabilities, ContainerRules, MountRule, PolicyDocument
from confidential_summarizer.policy.matching import Identity, MountContext
from confidential_summarizer.policy.narrowing import Narrowing, create_errors, exec_errors, narrow
from confidential_summarizer.policy.request import Request, container_input, process_input
from confidential_summarizer.policy.versions import Defaults, at_least, default_result, with_framework_defaults

FRAMEWORK_VERSION, API_VERSION = "0.5.0", "0.12.0"
LAYER_MOUNT = "/run/mounts/scsi/m[0-9]+"
SCRATCH_MOUNT = "/run/gcs/c/[0-9a-fA-F]{64}"
_SCRATCH_FILE_SYSTEMS = frozenset({"ext4", "xfs"})


@dataclass(frozen=True)
class StartData:
    """What the guest's agent knows beforehand: mounts that every container gets, and that privileged ones may."""

    default_mounts: tuple[MountRule, ...] = ()
    privileged_mounts: tuple[MountRule, ...] = ()


class Enforcer:
    """Answers requests in the order in which they come; remembers what is mounted and started. Raises nothing.

    Not for several threads at once.
    """

    def __init__(self, document: PolicyDocument, start: StartData | None = None) -> None:
        self._document = with_framework_defaults(document)
        self._start = start or StartData()
        self._devices: dict[str, str] = {}
        self._scratch_devices: set[str] = set()
        self._matches: dict[str, tuple[ContainerRules, ...]] = {}
        self._overlays: set[str] = set()
        self._started: dict[str, bool] = {}
        self._plan9: dict[str, str] = {}
        self._scratch: set[str] = set()
        self._version_errors: list[str] = []
        if not at_least(FRAMEWORK_VERSION, document.framework_version):
            versions = f"{document.framework_version} is greater than {FRAMEWORK_VERSION}"
            self._version_errors = [f"framework_version is ahead of the current version: {versions}"]

    def mount_device(self, target: str, device_hash: str) -> Decision:
        """Mount a layer's device: its root hash must be some container's layer."""
        request = {"target": target, "deviceHash": device_hash, "mountPathRegex": LAYER_MOUNT}
        errors = self._mount_point_errors(target, LAYER_MOUNT)
        if all(device_hash not in container.layers for container in self._document.containers):
            errors.append("deviceHash not found")
        decision = self._decide("mount_device", request, errors)
        if decision.allowed:
            self._devices[target] = device_hash
        return decision

    def unmount_device(self, target: str) -> Decision:
        """Unmount a layer's device."""
        errors = []
        if target in self._scratch_devices:
            errors = ["received read-only unmount request, but device provided is read-write"]
        elif target not in self._devices:
            errors = ["no device at path to unmount"]
        decision = self._decide("unmount_device", {"unmountTarget": target}, errors)
        if decision.allowed:
            self._devices.pop(target, None)
        return decision

    def rw_mount_device(
        self, target: str, *, encrypted: bool, ensure_filesystem: bool = True, filesystem: str = "ext4"
    ) -> Decision:
        """Mount a writable device: it must be encrypted unless the policy says otherwise."""
        request = {
            "target": target,
            "encrypted": encrypted,
            "ensureFilesystem": ensure_filesystem,
            "filesystem": filesystem,
            "mountPathRegex": SCRATCH_MOUNT,
        }
        errors = self._mount_point_errors(target, SCRATCH_MOUNT)
        if not (encrypted or self._document.flags.allow_unencrypted_scratch):
            errors.append(
                "unencrypted scratch not allowed, non-readonly mount request for SCSI disk must request encryption"
            )
        if not ensure_filesystem:
            errors.append("ensureFilesystem must be set on rw device mounts")
        if filesystem not in _SCRATCH_FILE_SYSTEMS:
            errors.append("rw device mounts uses a filesystem that is not allowed")
        decision = self._decide("rw_mount_device", request, errors)
        if decision.allowed:
            self._scratch_devices.add(target)
        return decision

    def mount_overlay(self, container_id: str, layer_paths: Sequence[str], target: str) -> Decision:
        """Join mounted layers, the topmost first, into a container's root file system."""
        request = {"containerID": container_id, "layerPaths": list(layer_paths), "target": target}
        hashes = tuple(self._devices.get(path) for path in reversed(layer_paths))
        found = tuple(container for container in self._candidates() if container.layers == hashes)
        errors = []
        if container_id in self._matches:
            errors.append("overlay has already been mounted")
        if not found:
            errors.append("no matching containers for overlay")
        decision = self._decide("mount_overlay", request, errors)
        if decision.allowed:
            self._matches[container_id] = found
            self._overlays.add(target)
        return decision

    def unmount_overlay(self, target: str) -> Decision:
        """Take a container's root file system apart."""
        errors = [] if target in self._overlays else ["no overlay at path to unmount"]
        decision = self._decide("unmount_overlay", {"unmountTarget": target}, errors)
        if decision.allowed:
            self._overlays.discard(target)
        return decision

    def create_container(self, request: Request) -> Decision:
        """Start a container whose overlay is mounted: it must fit its rules in every respect."""
        containers = self._matches.get(request.container_id, ())
        context = self._mount_context(request)
        narrowed = narrow(containers, request, self._document.flags, lambda c: self._may_start(c, request, context))
        errors = create_errors(
            containers,
            request,
            narrowed,
            started=request.container_id in self._started,
            mount_ok=lambda c, m: self._mount_ok(c, m, context, sandbox=request.is_sandbox_container),
        )
        if not narrowed.containers and not errors:
            errors.append("no container of the policy allows this combination")
        decision = self._decide("create_container", container_input(request), errors, narrowed)
        if decision.allowed:
            self._matches[request.container_id] = narrowed.containers
            self._started[request.container_id] = request.privileged
        return decision

    def exec_in_container(self, request: Request) -> Decision:
        """Start a further process in a running container: only commands listed for it."""
        containers = self._matches.get(request.container_id, ())
        privileged = self._started.get(request.container_id, False)
        asked = replace(request, privileged=privileged)
        narrowed = narrow(containers, asked, self._document.flags, lambda c: _may_exec(c, request))
        errors = exec_errors(containers, request, narrowed, started=request.container_id in self._started)
        if not narrowed.containers and not errors:
            errors.append("no container of the policy allows this combination")
        decision = self._decide("exec_in_container", process_input(request), errors, narrowed)
        if decision.allowed:
            self._matches[request.container_id] = narrowed.containers
        return decision

    def exec_external(self, command: Sequence[str], env: Sequence[str], working_dir: str) -> Decision:
        """Start a process outside of any container: nothing that we or the Azure tooling write allows one."""
        request = {"argList": list(command), "envList": list(env), "workingDir": working_dir}
        errors = ["invalid command", "invalid working directory"]
        if env:
            errors.append("invalid env list: " + ",".join(variable.partition("=")[0] for variable in env))
        return self._decide("exec_external", request, errors)

    def signal_container_process(
        self, container_id: str, signal: int, *, is_init_process: bool, command: Sequence[str] = ()
    ) -> Decision:
        """Send a signal to a container's first process, or to one started later."""
        request = {
            "containerID": container_id,
            "signal": signal,
            "isInitProcess": is_init_process,
            "argList": list(command),
        }
        found = tuple(
            container
            for container in self._matches.get(container_id, ())
            if (is_init_process and signal in container.signals)
            or (not is_init_process and _signal_ok(container, command, signal))
        )
        errors = [] if container_id in self._started else ["container not started"]
        if not found:
            errors.append("target isn't allowed to receive the signal")
        decision = self._decide("signal_container_process", request, errors)
        if decision.allowed:
            self._matches[container_id] = found
        return decision

    def shutdown_container(self, container_id: str) -> Decision:
        """Stop a container."""
        errors = [] if container_id in self._started else ["container not started"]
        decision = self._decide("shutdown_container", {"containerID": container_id}, errors)
        if decision.allowed:
            self._matches.pop(container_id, None)
        return decision

    def scratch_mount(self, target: str, *, encrypted: bool) -> Decision:
        """Mount a scratch space."""
        errors = ["scratch already mounted at path"] if target in self._scratch else []
        if not (encrypted or self._document.flags.allow_unencrypted_scratch):
            errors.append("unencrypted scratch not allowed")
        decision = self._decide("scratch_mount", {"target": target, "encrypted": encrypted}, errors)
        if decision.allowed:
            self._scratch.add(target)
        return decision

    def scratch_unmount(self, target: str) -> Decision:
        """Unmount a scratch space."""
        errors = [] if target in self._scratch else ["no scratch at path to unmount"]
        decision = self._decide("scratch_unmount", {"unmountTarget": target}, errors)
        if decision.allowed:
            self._scratch.discard(target)
        return decision

    def get_properties(self) -> Decision:
        """Read the state of containers."""
        return self._flag("get_properties", allowed=self._document.flags.allow_properties_access)

    def dump_stacks(self) -> Decision:
        """Dump the stacks of the guest's agent."""
        return self._flag("dump_stacks", allowed=self._document.flags.allow_dump_stacks)

    def runtime_logging(self) -> Decision:
        """Send the guest's own logs outside."""
        return self._flag("runtime_logging", allowed=self._document.flags.allow_runtime_logging)

    def _flag(self, rule: str, *, allowed: bool) -> Decision:
        return self._decide(rule, {}, [] if allowed else [f"{rule} not allowed by policy"])

    def _decide(
        self, rule: str, request: dict[str, Any], errors: Iterable[str], narrowed: Narrowing | None = None
    ) -> Decision:
        found = [*errors, *self._version_errors]
        match default_result(rule, self._document):
            case Defaults.ALLOW:
                return Decision(rule, allowed=True, input=request)
            case Defaults.DENY:
                return Decision(rule, allowed=False, errors=(f"rule for {rule} is missing from policy",), input=request)
        if found or narrowed is None:
            return Decision(rule, not found, tuple(sorted(set(found))), request)
        return Decision(
            rule,
            allowed=True,
            input=request,
            env_list=narrowed.env_list,
            capabilities=narrowed.capabilities,
            allow_stdio_access=narrowed.containers[0].allow_stdio_access,
        )

    def _candidates(self) -> tuple[ContainerRules, ...]:
        return () if self._version_errors else self._document.containers

    def _mount_point_errors(self, target: str, pattern: str) -> list[str]:
        errors = []
        if target in self._devices or target in self._scratch_devices:
            errors.append("device already mounted at path")
        if not matching.pattern_matches(pattern, target):
            errors.append("mountpoint invalid")
        return errors

    def _mount_context(self, request: Request) -> MountContext:
        own = frozenset(target for target, container in self._plan9.items() if container == request.container_id)
        return MountContext(request.sandbox_dir, request.huge_pages_dir, own)

    def _may_start(self, container: ContainerRules, request: Request, context: MountContext) -> bool:
        return (
            (request.no_new_privileges or not container.no_new_privileges)
            and matching.user_ok(container.user, request.user, request.groups, request.umask)
            and (container.allow_elevated or not request.privileged)
            and container.working_dir == request.working_dir
            and container.command == request.command
            and all(
                self._mount_ok(container, mount, context, sandbox=request.is_sandbox_container)
                for mount in request.mounts
            )
            and container.seccomp_profile_sha256 == request.seccomp_profile_sha256
            and not request.devices
        )

    def _mount_ok(self, container: ContainerRules, mount: MountRule, context: MountContext, *, sandbox: bool) -> bool:
        allowed = [*container.mounts, *self._start.default_mounts]
        if container.allow_elevated:
            allowed += self._start.privileged_mounts
        if sandbox:  # containerd 2 mounts /sys writable in the pause container of privileged pods
            allowed.append(MountRule("/sys", "sysfs", ("nosuid", "noexec", "nodev", "rw"), "sysfs"))
        return any(matching.mount_matches(rule, mount, context) for rule in allowed)


def _may_exec(container: ContainerRules, request: Request) -> bool:
    return (
        container.working_dir == request.working_dir
        and (request.no_new_privileges or not container.no_new_privileges)
        and matching.user_ok(container.user, request.user, request.groups, request.umask)
        and any(process.command == request.command for process in container.exec_processes)
    )


def _signal_ok(container: ContainerRules, command: Sequence[str], signal: int) -> bool:
    return any(process.command == tuple(command) and signal in process.signals for process in container.exec_processes)


__all__ = ["Capabilities", "Decision", "Enforcer", "Identity", "Request", "StartData"]
