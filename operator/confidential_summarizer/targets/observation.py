"""What became of the deployed groups, as values. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class GroupPhase(StrEnum):
    """How far a group has come."""

    STARTING = "Starting"
    RUNNING = "Running"
    READY = "Ready"
    DENIED = "Denied"
    FAILED = "Failed"
    LEAVING = "Leaving"


@dataclass(frozen=True)
class Group:
    """One container group.

    Attributes:
        name: Name of the pod or of the container group.
        host_data: The policy hash that it was deployed with.
        address: `host:port` of its page, once it has an address.
        message: Why it is where it is, for people; denials are decoded.
        identity: What tells it from a later group of the same name, such as a UID or a start; empty: the name does.
    """

    name: str
    host_data: str
    phase: GroupPhase
    address: str | None = None
    message: str = ""
    identity: str = ""


@dataclass(frozen=True)
class Observation:
    """All groups of a resource.

    Attributes:
        wanted: How many groups there should be.
        groups: The groups that exist, leaving ones included.
        host_data: The policy hash that groups are wanted with now.
        endpoint: `host:port` under which all of them are reached, where there is one address for them.
        blocked: Why groups that are wanted cannot even be made, for people; empty: nothing is in the way.
        remarks: What else people should know, such as remainders of pods that were evicted.
    """

    wanted: int
    groups: Sequence[Group]
    host_data: str
    endpoint: str | None = None
    blocked: str = ""
    remarks: Sequence[str] = ()

    @property
    def current(self) -> list[Group]:
        """Return the groups that carry the wanted policy and are not leaving."""
        return [g for g in self.groups if g.host_data == self.host_data and g.phase is not GroupPhase.LEAVING]

    @property
    def ready(self) -> list[Group]:
        """Return the current groups whose page is ready."""
        return [g for g in self.current if g.phase is GroupPhase.READY]

    @property
    def serving(self) -> list[Group]:
        """Return every ready group, of whatever policy: an old one serves until the new one is ready."""
        return [g for g in self.groups if g.phase is GroupPhase.READY]

    @property
    def denied(self) -> list[Group]:
        """Return the groups that the guest refused to start."""
        return [g for g in self.groups if g.phase is GroupPhase.DENIED]

    @property
    def failed(self) -> list[Group]:
        """Return the current groups that failed for another reason."""
        return [g for g in self.current if g.phase is GroupPhase.FAILED]

    @property
    def rolled_out(self) -> bool:
        """Tell whether exactly the wanted groups exist, all ready."""
        return len(self.ready) == self.wanted == len(self.groups)
