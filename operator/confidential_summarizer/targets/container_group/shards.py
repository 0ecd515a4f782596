"""What to do next about the groups of a batch: one for each shard, some at a time, each until its work is done. Pure.

A group that is done costs nothing any more, but holds the quota. It is deleted; the status, which is written before any
step is taken, remembers that it was done.
"""

import copy
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from confidential_summarizer.api.batch import ANY_SHARD, Batch, read_indexes
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.targets.container_group.planning import Member, Planner, index_of
from confidential_summarizer.targets.container_group.steps import Live
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation, Shards
from confidential_summarizer.targets.ownership import group_name
from confidential_summarizer.targets.target import Desired, Manifest, Plan


def plan(desired: Desired, live: Live, batch: Batch, now: datetime) -> Plan:
    """Return what has to be done next.

    Raises:
        NameTaken: Somebody else's group has a name that is needed.
    """
    return _ShardPlanner(desired, live, batch, now).plan()


def observe(resource: ConfidentialSummarizer, batch: Batch, groups: Iterable[Group], host_data: str) -> Observation:
    """Return the groups that work, and how far the shards are."""
    found = list(groups)
    shards = shards_of(resource, batch, found, host_data)
    working = [
        replace(group, shard=index_of(group.name))
        for group in found
        if group.phase not in (GroupPhase.DONE, GroupPhase.FAILED)
    ]
    left = batch.shards - len(shards.done | shards.failed)
    return Observation(min(batch.parallelism, left), working, host_data, shards=shards)


def shards_of(resource: ConfidentialSummarizer, batch: Batch, groups: Iterable[Group], host_data: str) -> Shards:
    """Return how far the shards are: what the status remembers, and what the groups say now."""
    before, tries = resource.status.batch, {attempt.group: attempt.count for attempt in resource.status.attempts}
    known = before.completed_indexes if before is not None and before.host_data == host_data else ""
    done, failed, cause = set(read_indexes(known)), set(), ""
    for group in groups:
        if group.phase is GroupPhase.DONE and group.host_data == host_data:
            done.add(index_of(group.name))
        elif group.phase is GroupPhase.FAILED:
            cause = f"{group.name}: {group.message}"
            if tries.get(group.name, 0) > batch.backoff_limit:
                failed.add(index_of(group.name))
    every = frozenset(range(batch.shards))
    return Shards(batch.shards, every & done, every & failed - done, cause)


class _ShardPlanner(Planner):
    """A plan in which each name stands for a shard, and a group that ended well is not made again."""

    def __init__(self, desired: Desired, live: Live, batch: Batch, now: datetime) -> None:
        super().__init__(desired, live, now)
        self.batch = batch
        groups = [member.state for member in self.members]
        self.shards = shards_of(desired.resource, batch, groups, desired.derivation.policy.host_data)
        self.ended = [member for member in self.members if self._is_over(member)]
        self.members = [member for member in self.members if member not in self.ended]

    def _is_over(self, member: Member) -> bool:
        index = index_of(member.name)
        done = member.state.phase is GroupPhase.DONE and index in self.shards.done
        return done or (member.state.phase is GroupPhase.FAILED and index in self.shards.failed)

    def _manifest(self, name: str) -> Manifest:
        return for_shard(self.manifest, index_of(name))

    def _came_up(self, name: str) -> bool:
        return False  # how often a shard was tried counts for as long as it has not ended

    def _create(self) -> None:
        room = self.batch.parallelism - len(self.members)
        names = {index: group_name(self.metadata, index) for index in range(self.batch.shards)}
        used = {member.name for member in [*self.members, *self.ended] if member.place == self.place}
        over = self.shards.done | self.shards.failed
        free = [name for index, name in names.items() if index not in over and name not in used]
        if room > 0 and free:
            self._refuse_taken()
        for name in free[: max(0, room)]:
            self._make(name)

    def _retire(self) -> None:
        """Take away what is of another manifest, too many, or done and noted."""
        for member in self._old:
            self._delete(member)
        for member in sorted(self._current, key=lambda m: index_of(m.name))[self.batch.parallelism :]:
            self._delete(member)
            self.attempts.pop(member.name, None)
        for member in self.ended:
            if member.state.phase is GroupPhase.DONE:
                self._delete(member)
                self.attempts.pop(member.name, None)


def for_shard(manifest: Manifest, index: int) -> Manifest:
    """Return the manifest of all shards as that of one."""
    body = copy.deepcopy(dict(manifest))
    for container in body["properties"]["containers"]:
        for variable in container["properties"]["environmentVariables"]:
            if variable["value"] == ANY_SHARD:
                variable["value"] = str(index)
    return body
