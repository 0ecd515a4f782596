"""A resource is deleted: what goes, what stays, and what is said while it has not gone."""

from datetime import timedelta
from typing import Any

import pytest

from confidential_summarizer.errors import AccessDenied, NotFound, TransientError
from confidential_summarizer.kube import Kind, Object
from confidential_summarizer.reconcile import removal
from confidential_summarizer.reconcile.run import Result
from confidential_summarizer.targets.target import Removal
from tests.support.resources import grant
from tests.unit.reconcile.test_reconcile import IMPORTED, NOW, World, material, settled


async def going(**changes: Any) -> World:
    """Return a world with a settled resource that is being deleted."""
    world = await settled(**changes)
    world.groups.calls.clear()
    world.delete()
    return world


@pytest.mark.parametrize("broken", ["text", None, 7, {}])
async def test_a_spec_that_no_longer_parses_does_not_leave_its_groups_behind(broken: Any) -> None:
    world = await going()
    world.resource["spec"]["fileSystems"] = broken
    assert not await world.removed()
    assert await world.removed()
    assert world.groups.calls == ["remove", "remove"]


async def test_a_status_of_a_newer_operator_neither_stalls_a_resource_nor_leaks_its_groups() -> None:
    world = await settled()
    world.resource["status"] |= {"newerField": {"a": 1}, "placements": [{"kind": "VirtualNode", "newer": True}]}
    await world.until_ready()
    assert world.resource["status"]["newerField"] == {"a": 1}
    world.delete()
    await world.until_removed()
    assert "remove" in world.groups.calls


async def test_what_holds_a_deletion_up_stands_in_the_status_and_in_an_event() -> None:
    world = await going()
    world.groups.removal = Removal(["legal-contracts-0"], "the virtual node does not answer")
    assert not await world.removed()
    assert world.reason() == "Deleting"
    assert world.condition("Ready")["status"] == "False"
    assert "legal-contracts-0 left: the virtual node does not answer" in world.condition("Ready")["message"]
    assert world.condition("Reconciling")["reason"] == "Deleting"
    assert world.condition("Deployed")["message"] == "not looked at; Ready says why"
    assert "Deleting" in [reason for _, reason, _ in world.events]


async def test_the_pauses_of_a_deletion_that_hangs_grow() -> None:
    world = await going()
    world.groups.error = TransientError("Resource Manager answers 503")
    pauses = []
    for minutes in (0, 1, 5, 60):
        world.now = NOW + timedelta(minutes=minutes)
        pauses.append((await world.visit()).wait)
    assert pauses == [2.0, 12.0, 60.0, 300.0]


async def test_a_deletion_that_hangs_writes_its_status_once() -> None:
    world = await going()
    world.groups.error = TransientError("Resource Manager answers 503")
    await world.visit()
    world.kube.writes.clear()
    await world.visit()
    assert world.kube.writes == []


async def test_without_rights_a_resource_that_never_deployed_anything_goes() -> None:
    world = World().given()
    await world.visit()
    world.delete()
    world.groups.error = AccessDenied("the identity may not list container groups")
    assert await world.removed()


@pytest.mark.parametrize(
    "known",
    [{"placements": [{"kind": "VirtualNode", "groups": 1}], "replicas": 0}, {"placements": [], "replicas": 1}],
    ids=["a place", "a number, as earlier operators remembered it"],
)
async def test_without_rights_a_resource_that_deployed_something_stays_and_says_so(known: dict[str, Any]) -> None:
    world = await going()
    world.resource["status"] |= known
    world.groups.error = AccessDenied("the identity may not list container groups")
    assert not await world.removed()
    assert "may not list container groups" in world.condition("Ready")["message"]


async def test_the_annotation_abandon_lets_a_resource_go_whatever_is_left() -> None:
    world = await going()
    world.groups.error = TransientError("Resource Manager answers 503")
    assert not await world.removed()
    world.annotate(abandon="true")
    assert await world.removed()
    assert [(normal, reason) for normal, reason, _ in world.events][-1] == (False, "Abandoned")


async def test_another_value_of_abandon_abandons_nothing() -> None:
    world = await going()
    world.annotate(abandon="yes")
    assert not await world.removed()
    assert world.reason() == "InvalidAnnotation"
    assert world.groups.calls == []


async def test_retain_leaves_the_groups_and_their_key() -> None:
    key = {**IMPORTED[0]["key"], "deletionPolicy": "Delete"}
    world = World().given(fileSystems=[{**IMPORTED[0], "key": key}], deletionPolicy="Retain")
    material(world)
    await world.until_ready()
    before = world.vault.keys["imported"]
    world.groups.calls.clear()
    world.delete()
    assert await world.removed()
    assert world.groups.calls == ["orphan"]
    assert world.vault.keys["imported"] == before


async def with_key(policy: str) -> World:
    world = World().given(fileSystems=[{**IMPORTED[0], "key": {**IMPORTED[0]["key"], "deletionPolicy": policy}}])
    material(world)
    await world.until_ready()
    world.groups.deployed = None
    world.delete()
    return world


@pytest.mark.parametrize("policy", ["Disable", "Delete"])
async def test_a_vault_that_is_gone_for_good_does_not_keep_a_resource_for_ever(policy: str) -> None:
    world = await with_key(policy)
    world.vault.error = TransientError("the vault cannot be reached")
    assert not await world.removed()
    assert world.reason() == "Deleting"
    assert "key imported in" in world.condition("Ready")["message"]
    world.now = NOW + timedelta(minutes=11)
    assert await world.removed()
    assert [(normal, reason) for normal, reason, _ in world.events][-1] == (False, "KeyLeft")


async def test_a_key_goes_with_a_resource_whose_status_was_lost() -> None:
    world = await with_key("Delete")
    world.resource["status"] = {"observedGeneration": -1}
    assert await world.removed()
    assert world.vault.calls[-1] == "delete imported"


async def test_a_vault_that_does_not_exist_keeps_nobody_waiting() -> None:
    world = await with_key("Delete")
    world.vault.error = NotFound("there is no such vault")
    assert await world.removed()


async def test_nothing_is_deployed_for_a_resource_that_went_before_it_was_held() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world)
    merge = world.kube.merge

    async def after_its_deletion(kind: Kind, namespace: str, name: str, patch: Object) -> Object | None:
        world.kube.objects.pop((kind.kind, namespace, name), None)
        return await merge(kind, namespace, name, patch)

    world.kube.merge = after_its_deletion  # type: ignore[method-assign]
    assert (await world.visit()).result is Result.GONE
    assert (world.groups.calls, world.kube.writes) == ([], [])


async def test_the_finalizer_is_there_before_anything_is_deployed_and_other_ones_stay() -> None:
    world = World().given()
    world.resource["metadata"]["finalizers"] = ["example.org/other"]
    await world.visit()
    ours = "confidential.summarizer.dev/finalizer"
    assert world.resource["metadata"]["finalizers"] == ["example.org/other", ours]
    assert world.kube.writes[0] == "merge ConfidentialSummarizer"
    world.delete()
    assert await world.removed()
    assert world.resource["metadata"]["finalizers"] == ["example.org/other"]
    assert await world.removed()


async def test_a_deletion_that_is_paused_removes_nothing_and_goes_on_without_the_annotation() -> None:
    world = await going()
    world.annotate(pause="true")
    assert not await world.removed()
    assert world.reason() == "Paused"
    assert "`csum resume contracts -n legal` ends it" in world.condition("Ready")["message"]
    assert world.groups.calls == []
    world.annotate()
    await world.until_removed()


async def test_a_target_that_never_answers_is_named_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "REMOVAL_SECONDS", 0.01)
    world = await going()
    world.groups.hangs = True
    assert not await world.removed()
    assert world.reason() == "Deleting"
    assert "does not answer" in world.condition("Ready")["message"]
    world.groups.hangs = False
    await world.until_removed()


async def test_what_is_left_is_named_where_nothing_says_why() -> None:
    world = await going()
    world.groups.removal = Removal(["legal-contracts-0", "legal-contracts-1"])
    assert not await world.removed()
    assert world.condition("Ready")["message"].endswith("legal-contracts-0, legal-contracts-1 left")


HERE = {"kind": "VirtualNode", "groups": 1}
ELSEWHERE = {"kind": "ContainerGroup", "subscriptionID": "s", "resourceGroup": "rg", "groups": 3}
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
SUBNET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"
CONTAINER_GROUP = {
    "containerGroup": {
        "subscriptionID": SUBSCRIPTION, "resourceGroup": "rg", "location": "westeurope", "subnetIDs": [SUBNET],
    }
}  # fmt: skip
WANTED = ("ContainerGroup", SUBSCRIPTION, "rg", 2)


def looked_in(world: World) -> list[tuple[str, str | None, str | None, int]]:
    places = world.groups.removed_from
    return sorted((place.kind.value, place.subscription_id, place.resource_group, place.groups) for place in places)


@pytest.mark.parametrize(
    ("target", "known", "looked"),
    [
        ({"virtualNode": {}}, [], [("VirtualNode", None, None, 2)]),
        ({"virtualNode": {}}, [HERE | {"groups": 9}], [("VirtualNode", None, None, 9)]),
        ({"virtualNode": {}}, [ELSEWHERE], [("ContainerGroup", "s", "rg", 3), ("VirtualNode", None, None, 2)]),
        (CONTAINER_GROUP, [], [WANTED]),
        (CONTAINER_GROUP, [ELSEWHERE], [WANTED, ("ContainerGroup", "s", "rg", 3)]),
        ({"broken": True}, [ELSEWHERE], [("ContainerGroup", "s", "rg", 3)]),
        ("broken", [], [("VirtualNode", None, None, 1)]),
    ],
    ids=[
        "here",
        "more than now",
        "moved here",
        "there",
        "moved there",
        "no target is read: what is known",
        "nothing known",
    ],
)
async def test_groups_are_looked_for_wherever_they_may_be(target: Any, known: list[Any], looked: list[Any]) -> None:
    world = await settled()
    world.kube.put(grant("*", subnets=[SUBNET]))
    world.resource["status"] |= {"placements": known, "replicas": 2}
    world.resource["spec"]["target"] = target
    world.delete()
    world.groups.removal = Removal(["one"])
    assert not await world.removed()
    assert looked_in(world) == looked


async def test_without_a_grant_nobody_looks_where_the_resource_never_was() -> None:
    world = await settled()
    world.resource["status"] |= {"placements": [ELSEWHERE]}
    world.resource["spec"]["target"] = CONTAINER_GROUP
    del world.kube.objects["SummarizerGrant", "", "all"]
    world.delete()
    await world.removed()
    assert looked_in(world) == [("ContainerGroup", "s", "rg", 3)]


async def with_keys(*file_systems: Any) -> World:
    """Return a going resource of which two keys were imported, and of whose file systems this is left."""
    key = {**IMPORTED[0]["key"], "deletionPolicy": "Delete"}
    world = World().given(fileSystems=[{**IMPORTED[0], "key": key}])
    material(world)
    await world.until_ready()
    world.vault.calls.clear()
    world.resource["spec"]["fileSystems"] = [*file_systems, {**IMPORTED[0], "key": key}]
    world.delete()
    return world


@pytest.mark.parametrize("broken", ["text", None, {}, {"key": "text"}, {"key": {"name": 7}}])
async def test_a_file_system_that_cannot_be_read_keeps_no_key_of_another_from_its_end(broken: Any) -> None:
    world = await with_keys(broken)
    await world.until_removed()
    assert world.vault.calls == ["delete imported"]


async def test_a_key_that_the_vault_does_not_know_keeps_no_other_from_its_end() -> None:
    world = await with_keys(
        {**IMPORTED[0], "key": {**IMPORTED[0]["key"], "name": "unknown", "deletionPolicy": "Delete"}}
    )
    await world.until_removed()
    assert world.vault.calls == ["delete imported"]
