"""What the ARM stand-in and a container group's guest know of each other.

The ARM stand-in owns the resource: its body, its provisioning state, its long-running operations. A guest owns what
happens inside the utility VM: pulling, measuring, enforcing, running. They meet in the three questions of `Guest`:
start, stop, what do you see.

State names are those of Azure Container Instances, because the views below are copied into `instanceView` as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from confidential_summarizer.errors import ImageError, SpecError
from confidential_summarizer.registry import Anonymous, CredentialSource

EventType = Literal["Normal", "Warning"]
"""The two event types of the service."""

ContainerStateName = Literal["Waiting", "Running", "Terminated"]
"""`Waiting` covers both an init container still running and a restart that is backed off."""

GroupStateName = Literal["Pending", "Running", "Succeeded", "Failed", "Stopped"]
"""`Succeeded` needs restart policy Never or OnFailure, `Failed` needs Never."""


class Denied(SpecError):
    """The policy refused a step inside the guest.

    The message is the text of the service: it holds `policyDecision< BASE64 >policyDecision`.
    """


class ImagePullFailed(ImageError):
    """An image of the group could not be pulled, or its bytes are not what their digest says."""


class ImageInaccessible(ImagePullFailed):
    """The registry does not have the image, or refuses to hand it out; the service says so at once, on PUT."""


class InitContainerFailed(SpecError):
    """An init container ended with another exit code than 0, and the restart policy lets it not try again."""


@dataclass(frozen=True)
class Event:
    """One entry of an `events` list; names in use: Pulling, Pulled, Created, Started, Killing, Failed, BackOff."""

    name: str
    type: EventType
    message: str
    first_timestamp: datetime
    last_timestamp: datetime
    count: int = 1


@dataclass(frozen=True)
class ContainerState:
    """`currentState` or `previousState` of one container; `exit_code` and `finish_time` only once terminated.

    `detail_status` as the service spells it: "", "Completed" (exit 0), "Error", "CrashLoopBackOff".
    """

    state: ContainerStateName
    start_time: datetime | None = None
    finish_time: datetime | None = None
    exit_code: int | None = None
    detail_status: str = ""


@dataclass(frozen=True)
class ContainerView:
    """`instanceView` of one container."""

    name: str
    current_state: ContainerState
    previous_state: ContainerState | None = None
    restart_count: int = 0
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class GroupView:
    """`instanceView` of a group with all its containers, in the order of the request."""

    state: GroupStateName
    events: tuple[Event, ...] = ()
    containers: tuple[ContainerView, ...] = ()
    init_containers: tuple[ContainerView, ...] = ()


@dataclass(frozen=True)
class GroupNetwork:
    """The one way out of a group, and the address under which its ports are reachable.

    Attributes:
        address: Loopback address of the host (127.77.x.y) that stands for the group's IP; the guest listens there
            for each port of the containers and carries connections into the group.
        services_socket: Unix socket that takes one TLS connection as a client in the group opened it to port 443;
            the other side reads the server name and connects to that service.
        metadata_socket: Unix socket that takes one plain HTTP connection to 169.254.169.254:80, answered with this
            group's identities.
        resolves: Zones whose names the group can look up, without a leading dot; a name equal to a zone or below
            one resolves to 127.0.0.1, any other name does not exist.
        authorities: PEM file with the authorities that sign for those names, the public ones among them.
        registries: What the platform pulls the group's images with; nothing inside gets to see it.
    """

    address: str
    services_socket: Path
    metadata_socket: Path
    resolves: tuple[str, ...] = ()
    authorities: Path | None = None
    registries: CredentialSource = field(default_factory=Anonymous, repr=False)


class ReportSource(Protocol):
    """The secure processor: what `azure_sandbox.attester.Attester` does."""

    @property
    def host_amd_cert_base64(self) -> str:
        """Content of the security context's `host-amd-cert-base64`."""

    @property
    def reference_info_base64(self) -> str:
        """Content of the security context's `reference-info-base64`."""

    def report(self, report_data: bytes, host_data: bytes, *, debug: bool = False) -> bytes:
        """Sign a 1184-byte SEV-SNP report over 64 bytes of report data and 32 bytes of host data."""


class Guest(Protocol):
    """One container group's utility VM. Methods are called from one event loop, one at a time."""

    async def check_images(self) -> None:
        """Ask the registry for the manifest of each image, with the group's credentials, without pulling.

        The service does this while it answers the PUT, so it has to be quick.

        Raises:
            ImageInaccessible: The first image that is not there or not handed out.
        """

    async def start(self) -> None:
        """Pull, enforce and start everything; return when all containers have started.

        `observe` shows the progress while this runs and the events of the refusal after it raised. It may be called
        again after `stop`, or after it raised. It is cancelled when the group is deleted meanwhile; `stop` follows.

        Raises:
            Denied: The policy refused a step.
            ImagePullFailed: An image cannot be had.
            InitContainerFailed: An init container failed for good.
        """

    async def restart(self) -> None:
        """Stop all containers and start them again in the same VM; every restart count goes up by one.

        Raises:
            Denied: The policy refused a step.
            ImagePullFailed: An image cannot be had.
        """

    async def stop(self) -> None:
        """Stop all containers (TERM, then KILL) and free everything on the host; harmless when not running."""

    def observe(self) -> GroupView:
        """Return what the group looks like now; it never blocks."""

    def logs(self, container: str, tail: int | None) -> str:
        """Return the last `tail` lines of a container's output, all when None.

        Raises:
            KeyError: No container of that name.
        """


class GuestFactory(Protocol):
    """Makes the guest of one group; `azure_sandbox.guest.create_guest` is the real one."""

    def __call__(
        self, group: Mapping[str, Any], directory: Path, network: GroupNetwork, attester: ReportSource, /
    ) -> Guest:
        """Return a guest that has not started.

        Args:
            group: The ARM resource as the client sent it, secrets included, plus `id` and `name`.
            directory: A directory of the group's own that outlives the guest; kept until the group is deleted.
            network: The group's way out and its address.
            attester: The secure processor of the machine.

        The process environment has `HTTPS_PROXY` and `SSL_CERT_FILE` set to the sandbox's own, so any HTTP client
        that honours them reaches the sandbox's registry under its Azure name.
        """
