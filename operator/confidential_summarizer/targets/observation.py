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
class Drift:
    """How what is deployed differs from what is wanted.

    Attributes:
        fields: Paths of what differs; empty: nothing does.
        intended: The resource changed since it was last applied, so the difference is ours to make.
    """

    fields: Sequence[str] = ()
    intended: bool = False


@dataclass(frozen=True)
class Group:
    """One container group.

    Attributes:
        name: Name of the pod or of the container group.
        host_data: The policy hash that it was deployed with.
        address: `host:port` of its page, once it has an address.
        message: Why it is where it is, for people; denials are decoded.
    """

    name: str
    host_data: str
    phase: GroupPhase
    address: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Observation:
    """All groups of a resource.

    Attributes:
        wanted: How many groups there should be.
        groups: The groups that exist, leaving ones included.
        host_data: The policy hash that groups are wanted with now.
    """

    wanted: int
    groups: Sequence[Group]
    host_data: str

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
