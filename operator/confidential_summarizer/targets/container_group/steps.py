"""What a reading of container groups finds, and the writes that follow from it: values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.targets.container_group.state import GroupBody, group_of
from confidential_summarizer.targets.observation import Group


@dataclass(frozen=True)
class Place:
    """A resource group of a subscription; compared as Resource Manager does, without regard to case."""

    subscription: str
    resource_group: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "subscription", self.subscription.lower())
        object.__setattr__(self, "resource_group", self.resource_group.lower())


@dataclass(frozen=True)
class Create:
    """Send a group.

    Attributes:
        body: What is sent, credentials included; never shown.
        makes_room: Name of an old group that is deleted where the subscription's quota does not allow both.
    """

    place: Place
    name: str
    body: GroupBody = field(repr=False)
    makes_room: "Delete | None" = None

    def __str__(self) -> str:
        return f"creates {self.name}"


@dataclass(frozen=True)
class Delete:
    """Start deleting a group."""

    place: Place
    name: str

    def __str__(self) -> str:
        return f"deletes {self.name}"


@dataclass(frozen=True)
class Start:
    """Start a group that was stopped."""

    place: Place
    name: str

    def __str__(self) -> str:
        return f"starts {self.name}"


@dataclass(frozen=True)
class Tag:
    """Put our tags back; nothing restarts."""

    place: Place
    name: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"tags {self.name}"


@dataclass(frozen=True)
class Live:
    """What one reading found.

    Attributes:
        groups: The resource's own groups by place and name, leaving ones included.
        taken: Names of ours that other people's groups have in the resource's place.
        ready: Names of the groups whose page says that it is ready.
    """

    groups: Mapping[tuple[Place, str], GroupBody] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    ready: frozenset[tuple[Place, str]] = frozenset()

    def members(self) -> Iterator[tuple[Place, GroupBody, Group]]:
        """Yield each group with its state."""
        for (place, name), body in self.groups.items():
            yield place, body, group_of(body, page_ready=(place, name) in self.ready)


def place_of(resource: ConfidentialSummarizer) -> Place:
    """Return where the resource's groups are wanted."""
    target = resource.spec.target.container_group
    assert target is not None  # noqa: S101 - the table of targets chose this one
    return Place(target.subscription_id, target.resource_group)
