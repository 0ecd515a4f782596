"""A request to start a process in the guest."""

from dataclasses import asdict, dataclass
from typing import Any

from confidential_summarizer.policy.document import Capabilities, MountRule
from confidential_summarizer.policy.matching import NO_CAPABILITIES, Identity

ROOT = Identity("0", "root")


@dataclass(frozen=True)
class Request:
    """A process to start: as a container's first one, or in a container that runs.

    Attributes:
        command: The whole command line.
        env: Variables as `NAME=value`.
        mounts: What the container gets; sources as they are in the guest.
        sandbox_dir: The folder that `sandbox://` in the rules stands for.
        is_sandbox_container: Whether it is the group's pause container.
    """

    container_id: str
    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    mounts: tuple[MountRule, ...] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    user: Identity = ROOT
    groups: tuple[Identity, ...] = ()
    umask: str = "0022"
    capabilities: Capabilities = NO_CAPABILITIES
    seccomp_profile_sha256: str = ""
    devices: tuple[str, ...] = ()
    sandbox_dir: str = ""
    huge_pages_dir: str = ""
    is_sandbox_container: bool = False


def process_input(request: Request) -> dict[str, Any]:
    """A request to start a further process, as the guest's agent phrases it."""
    return {
        "containerID": request.container_id,
        "argList": list(request.command),
        "envList": list(request.env),
        "workingDir": request.working_dir,
        "noNewPrivileges": request.no_new_privileges,
        "user": asdict(request.user),
        "groups": [asdict(group) for group in request.groups],
        "umask": request.umask,
        "capabilities": {name: list(names) for name, names in asdict(request.capabilities).items()},
    }


def container_input(request: Request) -> dict[str, Any]:
    """A request to start a container, as the guest's agent phrases it."""
    return process_input(request) | {
        "sandboxDir": request.sandbox_dir,
        "hugePagesDir": request.huge_pages_dir,
        "mounts": [asdict(mount) | {"options": list(mount.options)} for mount in request.mounts],
        "devices": list(request.devices),
        "privileged": request.privileged,
        "seccompProfileSHA256": request.seccomp_profile_sha256,
        "isSandboxContainer": request.is_sandbox_container,
    }
