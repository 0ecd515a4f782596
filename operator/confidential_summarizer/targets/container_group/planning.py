"""What to do next about a resource's container groups. Pure.

A group's policy is fixed for the life of its utility VM, and Resource Manager restarts whatever it is sent, so another
policy, size or address means another group. Replacing goes as with a Deployment that may surge by one: make one new
group, and take an old one away when a new one is ready. A group on its way out still holds its quota and counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.api.target import Attempt
from confidential_summarizer.errors import NameTaken
from confidential_summarizer.targets.container_group.comparison import changes
from confidential_summarizer.targets.container_group.credentials import with_credentials
from confidential_summarizer.targets.container_group.rendering import BODY_TAG, CREATED_TAG
from confidential_summarizer.targets.container_group.state import STOPPED, GroupBody, inner_state
from confidential_summarizer.targets.container_group.steps import Create, Delete, Live, Place, Start, Tag, place_of
from confidential_summarizer.targets.observation import Group, GroupPhase
from confidential_summarizer.targets.ownership import OWNER_UID_TAG, group_name
from confidential_summarizer.targets.target import Desired, Manifest, Plan, Step

PAUSES = tuple(timedelta(minutes=minutes) for minutes in (2, 4, 8, 16, 30))
"""Between tries to make a group that did not come up: capacity and quota come back in minutes to hours."""
DENIED_SECONDS = 300.0
"""A guest that refuses its policy refuses it again; only a new spec or policy helps, and that wakes us."""
SERVING = frozenset({GroupPhase.READY, GroupPhase.RUNNING})
"""An old group that runs may serve, even when its page did not answer just now: it is kept like a ready one."""


@dataclass(frozen=True)
class Member:
    """One live group, judged against what is wanted."""

    place: Place
    body: GroupBody
    state: Group
    current: bool
    changes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the group."""
        return self.state.name

    @property
    def serves(self) -> bool:
        """Whether it is kept for what it shows."""
        return self.state.phase is GroupPhase.READY or (not self.current and self.state.phase in SERVING)


def plan(desired: Desired, live: Live, now: datetime) -> Plan:
    """Return what has to be done next.

    Raises:
        NameTaken: Somebody else's group has a name that is needed.
    """
    return Planner(desired, live, now).plan()


class Planner:
    """One plan in the making."""

    def __init__(self, desired: Desired, live: Live, now: datetime) -> None:
        self.desired, self.now = desired, now
        self.metadata = desired.resource.metadata
        self.wanted = desired.resource.spec.groups
        self.corrects = desired.resource.spec.drift_policy is DriftPolicy.CORRECT
        self.place = place_of(desired.resource)
        self.manifest = desired.derivation.manifest
        self.digest: str = self.manifest["tags"][BODY_TAG]
        self.taken = live.taken
        self.members = [self._judged(*member) for member in live.members()]
        self.attempts = {
            attempt.group: attempt
            for attempt in desired.resource.status.attempts
            if attempt.body == self.digest and not self._came_up(attempt.group)
        }
        self.steps: list[Step] = []
        self.drift: list[str] = []
        self.waits: list[str] = []
        self.due: list[datetime] = []

    def plan(self) -> Plan:
        """Return what has to be done next."""
        self._find_drift()
        self._repair()
        self._create()
        self._retire()
        leaving = [m.name for m in self.members if m.state.phase is GroupPhase.LEAVING]
        if leaving:
            self.waits.append(f"{', '.join(leaving)}: going away")
        return Plan(
            tuple(self.steps),
            tuple(sorted(self.drift)),
            "; ".join(self.waits),
            self._wait_seconds(),
            tuple(self.attempts[name] for name in sorted(self.attempts)),
        )

    def _judged(self, place: Place, body: GroupBody, state: Group) -> Member:
        if state.phase is GroupPhase.LEAVING:
            return Member(place, body, state, current=False)
        found = changes(self._manifest(state.name), body)
        sent = (body.get("tags") or {}).get(BODY_TAG)
        # Without our tag only the group itself can say whether it is what we want.
        ours_to_change = place != self.place or (bool(found) if sent is None else sent != self.digest)
        if ours_to_change:
            return Member(place, body, state, current=False)
        return Member(place, body, state, current=not (found and self.corrects), changes=found)

    def _manifest(self, _name: str) -> Manifest:
        return self.manifest

    def _came_up(self, name: str) -> bool:
        return any(m.name == name and m.current and m.state.phase in SERVING for m in self.members)

    @property
    def _alive(self) -> list[Member]:
        return [m for m in self.members if m.state.phase is not GroupPhase.LEAVING]

    @property
    def _current(self) -> list[Member]:
        return [m for m in self._alive if m.current]

    @property
    def _old(self) -> list[Member]:
        return [m for m in self._alive if not m.current]

    def _find_drift(self) -> None:
        for member in self._alive:
            self.drift += [f"{member.name}: {path}" for path in member.changes]
            tags = dict(member.body.get("tags") or {})
            ours = {key: value for key, value in self.manifest["tags"].items() if tags.get(key) != value}
            if not member.current or not ours:
                continue
            if OWNER_UID_TAG in ours:
                self.drift.append(f"{member.name}: tags")
            if self.corrects:
                self.steps.append(Tag(member.place, member.name, tags | ours))

    def _repair(self) -> None:
        """Start what was stopped; take away what failed, when its pause is over."""
        for member in self._current:
            if member.state.phase is not GroupPhase.FAILED:
                continue
            if inner_state(member.body) == STOPPED:
                self.drift.append(f"{member.name}: stopped")
                if self.corrects:
                    self.steps.append(Start(member.place, member.name))
            elif self._pause_is_over(member.name, tries=self._tries(member.name)):
                self.steps.append(Delete(member.place, member.name))

    def _create(self) -> None:
        missing = self.wanted - len(self._current)
        room = self.wanted + (1 if self._old else 0) - len(self.members)
        if missing > 0:
            self._refuse_taken()
        used = {m.name for m in self.members if m.place == self.place}
        names = (group_name(self.metadata, index) for index in range(len(used) + self.wanted))
        free = [name for name in names if name not in used]
        for name in free[: max(0, min(missing, room))]:
            self._make(name, self._makes_room())

    def _refuse_taken(self) -> None:
        if self.taken:
            raise NameTaken(
                f"container group {self.place.resource_group}/{min(self.taken)} exists and is not of "
                f"{self.metadata.key}: delete or rename it"
            )

    def _make(self, name: str, makes_room: Delete | None = None) -> None:
        if self._pause_is_over(name, tries=self._tries(name) - 1):
            self.steps.append(Create(self.place, name, self._body(name), makes_room))
            self.attempts[name] = Attempt(
                group=name, body=self.digest, count=self._tries(name) + 1, time=_timestamp(self.now)
            )

    def _retire(self) -> None:
        """Take away what is too many or old; an old group that serves only for one that is ready."""
        current = sorted(self._current, key=lambda m: (m.serves, -index_of(m.name)))
        excess = max(0, len(current) - self.wanted)
        for member in current[:excess]:
            self._delete(member)
        dispensable = sum(m.serves for m in [*current[excess:], *self._old]) - self.wanted
        for member in sorted(self._old, key=lambda m: index_of(m.name)):
            if not member.serves:
                self._delete(member)
            elif dispensable > 0:
                dispensable -= 1
                self._delete(member)

    def _delete(self, member: Member) -> None:
        step = Delete(member.place, member.name)
        if step not in self.steps:
            self.steps.append(step)

    def _makes_room(self) -> Delete | None:
        """Return the old group that may go first: one while all replicas serve, and none while one is missing."""
        serving = sorted((m for m in self._old if m.serves), key=lambda m: index_of(m.name))
        all_serve = sum(m.serves for m in self._alive) >= self.wanted
        return Delete(serving[0].place, serving[0].name) if serving and all_serve else None

    def _body(self, name: str) -> GroupBody:
        body = with_credentials(self._manifest(name), self.desired.pull_secret)
        return {**body, "tags": {**body["tags"], CREATED_TAG: _timestamp(self.now)}}

    def _tries(self, name: str) -> int:
        attempt = self.attempts.get(name)
        return attempt.count if attempt else 0

    def _pause_is_over(self, name: str, *, tries: int) -> bool:
        attempt = self.attempts.get(name)
        if attempt is None or tries < 1:
            return True
        due = datetime.fromisoformat(attempt.time) + PAUSES[min(tries, len(PAUSES)) - 1]
        if due <= self.now:
            return True
        self.due.append(due)
        self.waits.append(f"{name}: next try at {_timestamp(due)}, after {tries} that did not come up")
        return False

    def _wait_seconds(self) -> float | None:
        if self.steps:
            return None
        if self.due:
            return max(1.0, (min(self.due) - self.now).total_seconds())
        phases = {m.state.phase for m in self._alive}
        settled = GroupPhase.DENIED in phases and phases <= {GroupPhase.DENIED, GroupPhase.READY}
        return DENIED_SECONDS if settled else None


def index_of(name: str) -> int:
    """Return the number at the end of a group's name."""
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else 0


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
