"""A resource is deleted: what goes, what stays, and what is said while it has not gone."""

from datetime import timedelta
from typing import Any

import pytest

from confidential_summarizer.errors import AccessDenied, NotFound, TransientError
from confidential_summarizer.targets.target import Removal
from tests.unit.reconcile.test_reconcile import IMPORTED, NOW, World, material, settled


async def going(**changes: Any) -> World:
    """Return a world with a settled resource that is being deleted."""
    world = await settled(**changes)
    world.groups.calls.clear()
    world.delete()
    return world


async def test_a_spec_that_no_longer_parses_does_not_leave_its_groups_behind() -> None:
    world = await going()
    world.resource["spec"]["fileSystems"] = "broken"
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


async def test_without_rights_a_resource_that_deployed_something_stays_and_says_so() -> None:
    world = await going()
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
    assert "key imported in" in world.condition("Ready")["message"]
    world.now = NOW + timedelta(minutes=11)
    assert await world.removed()
    assert [(normal, reason) for normal, reason, _ in world.events][-1] == (False, "KeyLeft")


async def test_a_vault_that_does_not_exist_keeps_nobody_waiting() -> None:
    world = await with_key("Delete")
    world.vault.error = NotFound("there is no such vault")
    assert await world.removed()


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
