"""Container groups through Resource Manager: what is read, written, removed and let go."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from confidential_summarizer.api.names import RECONCILE_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.target import Attempt, Placement, TargetKind
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import AccessDenied, CapacityUnavailable, NotFound, QuotaExceeded
from confidential_summarizer.targets.container_group.target import ContainerGroupTarget
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.observation import GroupPhase, Observation
from confidential_summarizer.targets.ownership import group_name
from confidential_summarizer.targets.target import Derivation, Desired, Plan, Removal
from tests.support.fakes import FakeKube, FakePages, measured
from tests.support.resources import document, resource

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TARGET = {
    "containerGroup": {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": "rg",
        "location": "westeurope",
        "subnetIDs": ["/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"],
    }
}
LARGER = {"resources": {"cpu": "4", "memory": "8Gi"}}


@dataclass
class FakeAzure:
    """A subscription that does at once what Resource Manager does in a while."""

    groups: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    lists: int = 0
    hidden: set[str] = field(default_factory=set)
    refusals: dict[str, Exception] = field(default_factory=dict)

    def _call(self, verb: str, name: str) -> None:
        if verb in self.refusals:
            raise self.refusals[verb]
        if verb == "list":
            self.lists += 1
        elif verb != "get":
            self.calls.append(f"{verb} {name}")

    async def put(self, resource_group: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._call("put", name)
        group = copy.deepcopy(dict(body)) | {"name": name}
        group["properties"] |= {"provisioningState": "Succeeded", "instanceView": {"state": "Running", "events": []}}
        group["properties"]["ipAddress"]["ip"] = f"10.0.0.{len(self.groups) + 4}"
        self.groups[resource_group, name] = group
        return group

    async def get(self, resource_group: str, name: str) -> Mapping[str, Any] | None:
        self._call("get", name)
        return copy.deepcopy(self.groups.get((resource_group, name)))

    async def delete(self, resource_group: str, name: str) -> None:
        self._call("delete", name)
        self.groups.pop((resource_group, name), None)

    async def start(self, resource_group: str, name: str) -> None:
        self._call("start", name)
        self.groups[resource_group, name]["properties"]["instanceView"]["state"] = "Running"

    async def tag(self, resource_group: str, name: str, tags: Mapping[str, str]) -> None:
        self._call("tag", name)
        self.groups[resource_group, name]["tags"] = dict(tags)

    async def list(self, resource_group: str) -> list[Mapping[str, Any]]:
        self._call("list", resource_group)
        found = [g for (place, name), g in self.groups.items() if place == resource_group and name not in self.hidden]
        shown = copy.deepcopy(found)
        for group in shown:
            del group["properties"]["instanceView"]
        return shown


def derived(given: ConfidentialSummarizer) -> Derivation:
    return derive(given, {c: measured(reference) for c, reference in image_references(given).items()})


@dataclass
class World:
    azure: FakeAzure = field(default_factory=FakeAzure)
    pages: FakePages = field(default_factory=FakePages)
    kube: FakeKube = field(default_factory=FakeKube)
    changes: dict[str, Any] = field(default_factory=dict)
    placements: list[Placement] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def resource(self) -> ConfidentialSummarizer:
        wanted = resource(**{"target": TARGET, **self.changes})
        known = {"placements": self.placements, "attempts": self.attempts}
        return wanted.model_copy(update={"status": wanted.status.model_copy(update=known)})

    @property
    def target(self) -> ContainerGroupTarget:
        return ContainerGroupTarget(lambda subscription: self.azure, self.pages, self.kube)

    def name(self, index: int = 0) -> str:
        return group_name(self.resource.metadata, index)

    async def step(self) -> Plan:
        """Do what one reconcile does: read, plan, remember, execute."""
        target, wanted = self.target, self.resource
        live = await target.read(wanted)
        plan = target.plan(Desired(wanted, derived(wanted)), live, NOW)
        self.placements = wanted.placements
        await target.execute(plan)
        return plan

    async def observe(self) -> Observation:
        wanted = self.resource
        return await self.target.observe(wanted, await self.target.read(wanted), derived(wanted).policy.host_data)

    async def remove(self, *, orphan: bool = False, placements: list[Placement] | None = None) -> Removal:
        where = self.placements if placements is None else placements
        return await self.target.remove(self.resource.metadata, where, orphan=orphan)

    def answers(self) -> None:
        """Let every page say that it is ready."""
        for group in self.azure.groups.values():
            self.pages.answers[f"{group['properties']['ipAddress']['ip']}:8501"] = {"state": "Ready"}


async def running(**changes: Any) -> World:
    world = World(changes=changes)
    await world.step()
    world.answers()
    world.azure.calls.clear()
    return world


async def test_an_unchanged_group_is_never_sent_again() -> None:
    world = await running()
    await world.step()
    assert world.azure.calls == []


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def neighbour(index: int, ready: str = "True", **annotations: str) -> ConfidentialSummarizer:
    """One of several resources in the same resource group."""
    condition = {"type": "Ready", "status": ready, "reason": "Ready", "message": "", "observedGeneration": 1}
    status = {"observedGeneration": 1, "conditions": [{**condition, "lastTransitionTime": "2026-11-28T12:00:00Z"}]}
    given = document(status=status, target=TARGET)
    given["metadata"] |= {"name": f"contracts-{index}", "uid": f"uid-{index}", "annotations": annotations}
    return ConfidentialSummarizer.parse(given)


async def test_all_settled_resources_of_a_resource_group_cost_one_list_a_resync() -> None:
    azure, clock = FakeAzure(), Clock()
    target = ContainerGroupTarget(lambda _: azure, FakePages(), FakeKube(), clock)
    for resync in (1, 2, 3):
        for index in range(10):
            await target.read(neighbour(index))
            clock.now += 30.0
        assert azure.lists == resync


async def test_a_resource_that_waits_for_its_groups_and_one_that_is_asked_for_are_shown_them_as_they_are() -> None:
    azure, clock = FakeAzure(), Clock()
    target = ContainerGroupTarget(lambda _: azure, FakePages(), FakeKube(), clock)
    for index, given in enumerate([neighbour(0), neighbour(1, "False"), neighbour(2, **{RECONCILE_ANNOTATION: "now"})]):
        await target.read(given)
        assert azure.lists == index + 1
        clock.now += 3.0


async def test_another_size_is_rolled_out_replica_by_replica() -> None:
    world = await running(replicas=3)
    world.changes |= LARGER
    for _ in range(9):
        await world.step()
        world.answers()
    n = world.name
    assert world.azure.calls == [
        f"put {n(3)}", f"delete {n(0)}", f"put {n(0)}", f"delete {n(1)}", f"put {n(1)}", f"delete {n(2)}",
    ]  # fmt: skip


async def test_without_quota_for_one_more_the_first_makes_room_and_only_that_one() -> None:
    world = await running(replicas=2)
    world.changes |= LARGER
    world.azure.refusals["put"] = QuotaExceeded("quota 'ConfidentialCores' exceeded")
    for _ in range(3):
        with pytest.raises(QuotaExceeded):
            await world.step()
    assert world.azure.calls == [f"delete {world.name(0)}"]
    del world.azure.refusals["put"]
    await world.step()
    assert world.azure.calls[1:] == [f"put {world.name(0)}", f"put {world.name(2)}"]


async def test_where_the_region_has_no_room_the_old_groups_stay() -> None:
    world = await running(replicas=2)
    world.changes |= LARGER
    world.azure.refusals["put"] = CapacityUnavailable("not available in the location", retry_after=120)
    with pytest.raises(CapacityUnavailable):
        await world.step()
    assert world.azure.calls == []


async def test_a_group_is_ready_when_its_page_says_so() -> None:
    world = World()
    await world.step()
    assert [g.phase for g in (await world.observe()).groups] == [GroupPhase.RUNNING]
    world.answers()
    assert [g.phase for g in (await world.observe()).groups] == [GroupPhase.READY]


@pytest.mark.parametrize(
    ("properties", "phase"),
    [
        ({"provisioningState": "Creating"}, GroupPhase.STARTING),
        ({"provisioningState": "Deleting"}, GroupPhase.LEAVING),
        ({"provisioningState": "Failed", "instanceView": {"state": "Pending", "events": []}}, GroupPhase.FAILED),
        ({"provisioningState": "Canceled", "instanceView": {"state": "Pending", "events": []}}, GroupPhase.FAILED),
        ({"provisioningState": "Succeeded", "instanceView": {"state": "Stopped", "events": []}}, GroupPhase.FAILED),
    ],
)
async def test_a_group_is_as_far_as_resource_manager_says(properties: dict[str, Any], phase: GroupPhase) -> None:
    world = World()
    await world.step()
    (group,) = world.azure.groups.values()
    group["properties"] |= properties
    assert [g.phase for g in (await world.observe()).groups] == [phase]


async def test_a_group_that_has_no_address_yet_is_waited_for_and_one_that_was_made_without_is_replaced() -> None:
    world = World()
    await world.step()
    (group,) = world.azure.groups.values()
    del group["properties"]["ipAddress"]
    group["properties"]["provisioningState"] = "Pending"
    assert (await world.step()).drift == ()
    assert world.azure.calls == [f"put {world.name()}"]
    group["properties"]["provisioningState"] = "Succeeded"
    assert f"{world.name()}: exposure" in (await world.step()).drift


async def test_all_resources_of_a_resource_group_share_one_list() -> None:
    world = await running()
    asked: list[str] = []
    world.azure._call = lambda verb, name: asked.append(verb)  # type: ignore[method-assign]
    target = world.target
    for _ in range(5):
        await target.read(world.resource)
    assert asked == ["list"]


async def test_a_list_that_a_neighbour_asked_for_during_a_creation_does_not_hide_the_new_group() -> None:
    azure, clock, world = FakeAzure(), Clock(), World()
    target, put = ContainerGroupTarget(lambda _: azure, FakePages(), FakeKube(), clock), azure.put

    async def slow(resource_group: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        await target.read(neighbour(1, "False"))  # before Resource Manager shows the group
        return await put(resource_group, name, body)

    azure.put = slow  # type: ignore[method-assign]
    given, derivation = world.resource, derived(world.resource)
    await target.execute(target.plan(Desired(given, derivation), await target.read(given), NOW))
    clock.now += 1.0
    assert [name for _, name in (await target.read(given)).groups] == [world.name()]  # else it would be sent again


async def test_a_group_that_resource_manager_does_not_list_yet_is_not_sent_again() -> None:
    world = World()
    world.azure.hidden = {world.name()}
    world.attempts = list((await world.step()).attempts)
    await world.step()
    assert world.azure.calls == [f"put {world.name()}"]


async def test_a_group_that_was_made_again_has_another_identity() -> None:
    world = await running()
    (before,) = (await world.observe()).groups
    world.changes |= LARGER
    for _ in range(3):
        await world.step()
        world.answers()
    (after,) = (await world.observe()).groups
    assert before.identity != after.identity


async def test_removal_deletes_the_resource_s_own_groups_wherever_they_were_put() -> None:
    world = await running()
    world.changes = {"target": {"containerGroup": TARGET["containerGroup"] | {"resourceGroup": "rg2"}}}
    await world.step()
    world.azure.groups["rg", "other"] = {"name": "other", "tags": {}, "properties": {"instanceView": {}}}
    assert {place for place, _ in world.azure.groups} == {"rg", "rg2"}
    assert len((await world.remove()).left) == 2
    assert await world.remove() == Removal()
    assert list(world.azure.groups) == [("rg", "other")]


async def test_a_group_whose_tags_somebody_replaced_is_removed_by_its_name() -> None:
    world = await running()
    for group in world.azure.groups.values():
        group["tags"] = {"cost-centre": "7"}
    assert (await world.remove()).left == (world.name(),)
    assert world.azure.groups == {}


async def test_a_group_of_another_resource_with_a_name_of_ours_is_left_alone() -> None:
    world = await running()
    for group in world.azure.groups.values():
        group["tags"]["confidential-summarizer-uid"] = "somebody-else"
    assert (await world.remove()).left == ()
    assert len(world.azure.groups) == 1


async def test_a_creation_under_way_at_the_moment_of_deletion_does_not_escape() -> None:
    world = await running()
    world.azure.hidden = {world.name()}  # Resource Manager does not list it yet
    assert (await world.remove()).left == (world.name(),)
    assert world.azure.groups == {}


async def test_a_new_group_says_of_which_cluster_it_is_and_stays_as_it_is_when_that_cannot_be_read() -> None:
    world = World()
    world.kube.put({"kind": "Namespace", "metadata": {"name": "kube-system", "namespace": "kube-system", "uid": "c-1"}})
    await world.step()
    (group,) = world.azure.groups.values()
    assert group["tags"]["confidential-summarizer-cluster"] == "c-1"
    world.answers()
    world.azure.calls.clear()
    world.kube.objects.clear()
    await world.step()
    assert world.azure.calls == []


async def test_a_resource_group_that_is_gone_holds_no_groups() -> None:
    world = await running()
    world.azure.refusals["list"] = NotFound("ResourceGroupNotFound")
    assert await world.remove() == Removal()


async def test_without_rights_a_resource_that_never_deployed_anything_is_let_go() -> None:
    world = World()
    world.azure.refusals["list"] = AccessDenied("AuthorizationFailed")
    nothing = [place.model_copy(update={"groups": 0}) for place in world.resource.placements]
    assert await world.remove(placements=nothing) == Removal()


async def test_without_rights_a_resource_with_groups_stays_and_says_why() -> None:
    world = await running()
    world.azure.refusals["list"] = AccessDenied("AuthorizationFailed: give it Contributor")
    removal = await world.remove()
    assert removal.left == ("groups in rg",)
    assert "give it Contributor" in removal.cause


async def test_groups_that_are_retained_run_on_without_our_marks() -> None:
    world = await running(replicas=2)
    for group in world.azure.groups.values():
        group["tags"]["cost-centre"] = "7"
    assert await world.remove(orphan=True) == Removal()
    assert [set(group["tags"]) for group in world.azure.groups.values()] == [{"cost-centre"}] * 2
    assert world.azure.calls == [f"tag {world.name(0)}", f"tag {world.name(1)}"]


def test_a_place_is_the_same_whatever_its_case_and_remembers_the_most_groups() -> None:
    wanted = resource(target=TARGET, replicas=2)
    before = Placement(kind=TargetKind.CONTAINER_GROUP, subscription_id=SUBSCRIPTION, resource_group="RG", groups=5)
    known = wanted.model_copy(update={"status": wanted.status.model_copy(update={"placements": [before]})})
    assert [p.groups for p in known.placements] == [5]
    assert [p.groups for p in wanted.placements] == [2]
