"""Container groups made straight through Azure Resource Manager: reading, writing and removing them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from confidential_summarizer.api.names import RECONCILE_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.status import ConditionStatus, ConditionType
from confidential_summarizer.api.target import Placement, TargetKind
from confidential_summarizer.blueprint import Blueprint
from confidential_summarizer.errors import AccessDenied, NotFound, QuotaExceeded, SummarizerError
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.targets.container_group import planning, shards
from confidential_summarizer.targets.container_group.rendering import render, with_policy
from confidential_summarizer.targets.container_group.state import LEAVING, GroupBody, address
from confidential_summarizer.targets.container_group.steps import Create, Delete, Live, Place, Start, Tag, place_of
from confidential_summarizer.targets.observation import Observation
from confidential_summarizer.targets.ownership import OWNER_UID_TAG, TAG_PREFIX, cluster_tag, group_name, is_our_group
from confidential_summarizer.targets.target import Derivation, Desired, Manifest, Plan, Removal

SHARED_SECONDS = 2.0
"""How long one list of a resource group serves every resource in it; our own writes end it. A resource that is settled
takes any list that is newer than its own last look, so that all of them together cost one list a resync."""


class ContainerGroupsAPI(Protocol):
    """What is asked of Resource Manager in one subscription; raises the leaves of our error tree.

    `put` returns as soon as the group is accepted, `get` returns None where there is none, `delete` of a missing one is
    no error, `tag` replaces all tags, `list` leaves the instance views out.
    """

    async def put(self, resource_group: str, name: str, body: GroupBody) -> GroupBody: ...  # noqa: D102
    async def get(self, resource_group: str, name: str) -> GroupBody | None: ...  # noqa: D102
    async def delete(self, resource_group: str, name: str) -> None: ...  # noqa: D102
    async def start(self, resource_group: str, name: str) -> None: ...  # noqa: D102
    async def tag(self, resource_group: str, name: str, tags: Mapping[str, str]) -> None: ...  # noqa: D102
    async def list(self, resource_group: str) -> list[GroupBody]: ...  # noqa: D102


class PageStatus(Protocol):
    """Asks a group's page where it stands: Resource Manager does not show readiness."""

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's status, or None while it does not answer."""


Subscriptions = Callable[[str], ContainerGroupsAPI]
"""Returns the container groups of a subscription."""


@dataclass
class ContainerGroupTarget:
    """One container group for each replica, or for each shard of a batch.

    Args:
        subscriptions: Returns the client of a subscription.
        pages: Asks pages.
        kube: Knows the cluster that new groups are tagged with.
    """

    subscriptions: Subscriptions
    pages: PageStatus
    kube: KubernetesAPI
    clock: Callable[[], float] = time.monotonic
    _lists: dict[Place, tuple[float, asyncio.Future[list[GroupBody]]]] = field(default_factory=dict)
    _looks: dict[str, float] = field(default_factory=dict)
    """By UID, when a resource was last read."""

    @staticmethod
    def render(
        resource: ConfidentialSummarizer,
        blueprint: Blueprint,
        images: Mapping[str, MeasuredImage],
        settings: PolicySettings,
    ) -> tuple[Manifest, Policy]:
        """See `Render`."""
        group = render(blueprint, resource)
        policy = container_group_policy(group, images, settings)
        return with_policy(group, policy), policy

    async def read(self, resource: ConfidentialSummarizer, derivation: Derivation | None = None) -> Live:
        """List the resource's places, ask pages, and look closer at every group that is not ready."""
        here, now = place_of(resource), self.clock()
        newer_than = now - SHARED_SECONDS
        if _is_settled(resource):
            newer_than = min(newer_than, self._looks.get(resource.metadata.uid, float("-inf")))
        self._looks[resource.metadata.uid] = now
        # The lists end with the call: those of a thousand new groups differ, and pages are waited for below.
        groups, taken = await self._members(resource, here, newer_than)
        answers = await asyncio.gather(*(self._page_ready(group) for group in groups.values()))
        ready = frozenset(key for key, answer in zip(groups, answers, strict=True) if answer)
        closer = await asyncio.gather(*(self._get(*key) for key in groups if key not in ready))
        for key, look in zip([key for key in groups if key not in ready], closer, strict=True):
            if look is None:
                del groups[key]
            else:
                groups[key] = look
        return Live(groups, frozenset(taken), ready)

    async def _members(
        self, resource: ConfidentialSummarizer, here: Place, newer_than: float
    ) -> tuple[dict[tuple[Place, str], GroupBody], set[str]]:
        """Find the resource's groups in all of its places, and its names that are somebody else's."""
        groups: dict[tuple[Place, str], GroupBody] = {}
        taken: set[str] = set()
        names = _names(resource.metadata, resource.spec.groups)
        for place in dict.fromkeys([here, *map(_place, _ours(resource.status.placements))]):
            try:
                listed = await self._list(place, newer_than)
            except NotFound:
                if place == here:
                    raise
                continue  # whoever moved the groups has cleaned up behind them
            for group in listed:
                if is_our_group(group, resource.metadata):
                    groups[place, group["name"]] = group
                elif place == here and group["name"] in names:
                    taken.add(group["name"])
        # A list may lag behind: what was sent would be sent again, and Resource Manager restarts whatever it is sent.
        sent = {attempt.group for attempt in resource.status.attempts}
        unseen = [(here, name) for name in names if name in sent - taken and (here, name) not in groups]
        closer = await asyncio.gather(*(self._get(*key) for key in unseen))
        found = {key: look for key, look in zip(unseen, closer, strict=True) if look is not None}
        groups |= {key: look for key, look in found.items() if is_our_group(look, resource.metadata)}
        return groups, taken

    def plan(self, desired: Desired, live: Live, now: datetime) -> Plan:
        """See `planning.plan`, and `shards.plan` for a batch."""
        batch = desired.resource.spec.batch
        return planning.plan(desired, live, now) if batch is None else shards.plan(desired, live, batch, now)

    async def execute(self, plan: Plan) -> None:
        """Take the steps in their order; see `Target.execute`."""
        for step in plan.steps:
            assert isinstance(step, Create | Delete | Start | Tag)  # noqa: S101 - of our own planner
            try:
                await self._take(step)
            finally:
                # Also what was listed meanwhile, for another resource, may not show it yet.
                self._lists.pop(step.place, None)

    async def _take(self, step: Create | Delete | Start | Tag) -> None:
        groups = self.subscriptions(step.place.subscription)
        if isinstance(step, Create):
            await self._create(groups, step)
        elif isinstance(step, Delete):
            await groups.delete(step.place.resource_group, step.name)
        elif isinstance(step, Start):
            await groups.start(step.place.resource_group, step.name)
        else:
            await groups.tag(step.place.resource_group, step.name, step.tags)

    async def observe(self, resource: ConfidentialSummarizer, live: Live, host_data: str) -> Observation:
        """Return the groups of the reading, in the order of their names."""
        found = sorted((group for _, _, group in live.members()), key=lambda group: group.name)
        batch = resource.spec.batch
        if batch is not None:
            return shards.observe(resource, batch, found, host_data)
        return Observation(resource.spec.replicas, found, host_data)

    async def remove(self, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool) -> Removal:
        """Remove the resource's groups from all its places; see `Target.remove`."""
        self._looks.pop(metadata.uid, None)
        left: list[str] = []
        causes: list[str] = []
        for placement in _ours(placements):
            try:
                left += await self._remove(metadata, placement, orphan=orphan)
            except NotFound:
                continue  # the resource group or the subscription is gone, and all groups with it
            except AccessDenied as error:
                if placement.groups:
                    left.append(f"groups in {placement.resource_group}")
                    causes.append(str(error))
        causes += [f"{name} is going away" for name in left if not causes]
        return Removal(tuple(left), "; ".join(causes))

    async def _remove(self, metadata: Metadata, placement: Placement, *, orphan: bool) -> list[str]:
        """Delete or let go what there is in one place, and return the names of what is still there."""
        place = _place(placement)
        groups = self.subscriptions(place.subscription)
        listed = [group for group in await groups.list(place.resource_group) if is_our_group(group, metadata)]
        if not listed:
            # A creation may have been under way when the list was made: the names say where to look again.
            names = _names(metadata, placement.groups) if placement.groups else ()
            found = await asyncio.gather(*(groups.get(place.resource_group, name) for name in names))
            listed = [group for group in found if group is not None and is_our_group(group, metadata)]
        for group in listed:
            tags = dict(group.get("tags") or {})
            if orphan:
                if OWNER_UID_TAG in tags:
                    await groups.tag(place.resource_group, group["name"], _without_ours(tags))
            elif group["properties"].get("provisioningState") not in LEAVING:
                await groups.delete(place.resource_group, group["name"])
        self._lists.pop(place, None)
        return [] if orphan else [group["name"] for group in listed]

    async def _create(self, groups: ContainerGroupsAPI, step: Create) -> None:
        body = {**step.body, "tags": {**step.body["tags"], **await cluster_tag(self.kube)}}
        try:
            await groups.put(step.place.resource_group, step.name, body)
        except QuotaExceeded:
            if step.makes_room is not None:
                await groups.delete(step.makes_room.place.resource_group, step.makes_room.name)
            raise

    async def _list(self, place: Place, newer_than: float) -> list[GroupBody]:
        """List a place, or take part in a list that was asked for since."""
        known = self._lists.get(place)
        if known is None or known[0] <= newer_than:
            asked = asyncio.ensure_future(self.subscriptions(place.subscription).list(place.resource_group))
            known = self._lists[place] = (self.clock(), asked)
        try:
            # One who is cancelled must not take the list from the others.
            return await asyncio.shield(known[1])
        except SummarizerError:
            self._lists.pop(place, None)
            raise

    async def _get(self, place: Place, name: str) -> GroupBody | None:
        return await self.subscriptions(place.subscription).get(place.resource_group, name)

    async def _page_ready(self, group: GroupBody) -> bool:
        where = address(group)
        if where is None or group["properties"].get("provisioningState") in LEAVING:
            return False
        status = ((await self.pages.status(where)) or {}).get("state")
        # A shard has nothing to show at its end: it is as it should be while it works.
        working = group["properties"].get("restartPolicy") == "Never" and status == "Summarizing"
        return working or status == "Ready"


def _is_settled(resource: ConfidentialSummarizer) -> bool:
    """Tell whether nobody waits for anything: it is Ready as it is, and nobody asked to look at it again."""
    ready = resource.status.condition(ConditionType.READY)
    asked = resource.metadata.annotations.get(RECONCILE_ANNOTATION)
    return (
        resource.spec.batch is None
        and ready is not None
        and ready.status is ConditionStatus.TRUE
        and ready.observed_generation == resource.metadata.generation
        and asked == resource.status.last_handled_reconcile_at
    )


def _ours(placements: Iterable[Placement]) -> list[Placement]:
    return [placement for placement in placements if placement.kind is TargetKind.CONTAINER_GROUP]


def _place(placement: Placement) -> Place:
    return Place(placement.subscription_id or "", placement.resource_group or "")


def _names(metadata: Metadata, groups: int) -> list[str]:
    """Return every name that so many groups, and the one that is made before an old one goes, can have had."""
    return [group_name(metadata, index) for index in range(groups + 1)]


def _without_ours(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(TAG_PREFIX)}
