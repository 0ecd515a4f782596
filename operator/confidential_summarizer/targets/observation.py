"""What became of the deployed groups, as values. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class GroupPhase(StrEnum):
    """How far a group has come."""

    STARTING = "Starting"
    RUNNING = "Running"
    READY = "Ready"
    DONE = "Done"
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
        shard: Which shard of a batch it works on.
    """

    name: str
    host_data: str
    phase: GroupPhase
    address: str | None = None
    message: str = ""
    identity: str = ""
    shard: int | None = None


@dataclass(frozen=True)
class Shards:
    """How far the shards of a batch are.

    Attributes:
        total: How many there are.
        done: Those whose work is done.
        failed: Those that are not tried again.
        cause: Why the last one failed, for people.
    """

    total: int
    done: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    cause: str = ""

    @property
    def complete(self) -> bool:
        """Tell whether the batch is done."""
        return len(self.done) == self.total

    @property
    def over(self) -> bool:
        """Tell whether nothing goes on any more."""
        return len(self.done | self.failed) == self.total


@dataclass(frozen=True)
class Observation:
    """All groups of a resource.

    Attributes:
        wanted: How many groups there should be.
        groups: The groups that exist, leaving ones included.
        host_data: The policy hash that groups are wanted with now.
        blocked: Why groups that are wanted cannot even be made, for people; empty: nothing is in the way.
        remarks: What else people should know, such as remainders of pods that were evicted.
        shards: Of a batch, how far it is; None: it is a server.
    """

    wanted: int
    groups: Sequence[Group]
    host_data: str
    blocked: str = ""
    remarks: Sequence[str] = ()
    shards: Shards | None = None

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
        """Tell whether exactly the wanted groups exist, all ready; of a batch, whether it is under way or over.

        Groups of a batch come and go: what one of them waits for is no reason to call the whole not ready.
        """
        if self.shards is not None:
            return self.shards.over or self.wanted == 0 or bool(self.ready or self.shards.done)
        return len(self.ready) == self.wanted == len(self.groups)
