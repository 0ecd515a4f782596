"""Container groups through Resource Manager: what is created, replaced, left alone and removed."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import SpecError
from confidential_summarizer.targets.arm_groups import ArmGroups
from confidential_summarizer.targets.container_group import group_name
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.observation import GroupPhase
from confidential_summarizer.targets.target import Derivation
from tests.support.fakes import FakePages, measured
from tests.support.resources import resource

TARGET = {
    "containerGroup": {
        "subscriptionID": "00000000-0000-0000-0000-000000000001",
        "resourceGroup": "rg",
        "location": "westeurope",
        "subnetIDs": ["/subscriptions/x/subnets/cg"],
    }
}


@dataclass
class FakeAzure:
    """A resource group that does at once what Resource Manager does in a while."""

    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def put(self, resource_group: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append(f"put {name}")
        group = copy.deepcopy(dict(body)) | {"name": name}
        group["properties"] |= {"provisioningState": "Succeeded", "instanceView": {"state": "Running", "events": []}}
        group["properties"]["ipAddress"]["ip"] = f"10.0.0.{len(self.groups) + 4}"
        self.groups[name] = group
        return group

    async def get(self, resource_group: str, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.groups.get(name))

    async def delete(self, resource_group: str, name: str) -> None:
        self.calls.append(f"delete {name}")
        self.groups.pop(name, None)

    async def list(self, resource_group: str) -> list[Mapping[str, Any]]:
        return copy.deepcopy(list(self.groups.values()))

    async def logs(self, resource_group: str, name: str, container: str, *, tail: int | None = None) -> str:
        return ""

    @asynccontextmanager
    async def opened(self, subscription: str) -> AsyncIterator["FakeAzure"]:
        yield self


def derived(given: Any) -> Derivation:
    return derive(given, {c: measured(reference) for c, reference in image_references(resource()).items()})


@dataclass
class World:
    azure: FakeAzure = field(default_factory=FakeAzure)
    pages: FakePages = field(default_factory=FakePages)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def resource(self) -> Any:
        return resource(target=TARGET, **self.changes)

    @property
    def groups(self) -> ArmGroups:
        return ArmGroups(self.azure.opened, self.pages)

    async def apply(self) -> None:
        await self.groups.apply(self.resource, derived(self.resource))

    async def drift(self) -> Any:
        return await self.groups.drift(self.resource, derived(self.resource))

    async def phases(self) -> list[GroupPhase]:
        return [g.phase for g in (await self.groups.observe(self.resource, derived(self.resource))).groups]


async def test_a_group_is_created_for_each_replica() -> None:
    world = World(changes={"replicas": 2})
    assert await world.drift() is None
    await world.apply()
    assert sorted(world.azure.groups) == sorted(group_name(world.resource, i) for i in range(2))
    assert (await world.drift()).fields == []


async def test_an_unchanged_group_is_never_sent_again() -> None:
    world = World()
    await world.apply()
    world.azure.calls.clear()
    await world.apply()
    assert world.azure.calls == []


async def test_another_policy_means_another_utility_vm() -> None:
    world = World()
    await world.apply()
    world.azure.calls.clear()
    world.changes = {"summarizer": {"maxWords": 50}}
    assert any("policy" in path for path in (await world.drift()).fields)
    await world.apply()
    name = group_name(world.resource, 0)
    assert world.azure.calls == [f"delete {name}", f"put {name}"]
    assert (await world.drift()).fields == []


async def test_fewer_replicas_remove_the_last_groups() -> None:
    world = World(changes={"replicas": 3})
    await world.apply()
    world.changes = {"replicas": 1}
    await world.apply()
    assert list(world.azure.groups) == [group_name(world.resource, 0)]


async def test_a_variable_that_somebody_changed_is_drift() -> None:
    world = World()
    await world.apply()
    (group,) = world.azure.groups.values()
    group["properties"]["containers"][0]["properties"]["environmentVariables"][0]["value"] = "other"
    (path,) = (await world.drift()).fields
    assert "environmentVariables" in path


async def test_a_group_is_ready_when_its_page_says_so() -> None:
    world = World()
    await world.apply()
    assert await world.phases() == [GroupPhase.RUNNING]
    world.pages.answers["10.0.0.4:8501"] = {"state": "Ready"}
    assert await world.phases() == [GroupPhase.READY]


async def test_somebody_else_s_group_of_that_name_is_never_touched() -> None:
    world = World()
    name = group_name(world.resource, 0)
    world.azure.groups[name] = {"name": name, "tags": {}, "properties": {"provisioningState": "Succeeded"}}
    with pytest.raises(SpecError, match="is not of legal/contracts"):
        await world.apply()
    assert world.azure.calls == []


async def test_removal_deletes_only_the_resource_s_own_groups() -> None:
    world = World()
    await world.apply()
    world.azure.groups["other"] = {"name": "other", "tags": {}, "properties": {}}
    assert await world.groups.remove(world.resource) is False
    assert await world.groups.remove(world.resource) is True
    assert list(world.azure.groups) == ["other"]


@pytest.mark.parametrize(
    ("properties", "phase"),
    [
        ({"provisioningState": "Creating"}, GroupPhase.STARTING),
        ({"provisioningState": "Deleting"}, GroupPhase.LEAVING),
        ({"provisioningState": "Failed", "instanceView": {"state": "Pending", "events": []}}, GroupPhase.FAILED),
        ({"provisioningState": "Succeeded", "instanceView": {"state": "Stopped", "events": []}}, GroupPhase.FAILED),
    ],
)
async def test_a_group_is_as_far_as_resource_manager_says(properties: dict[str, Any], phase: GroupPhase) -> None:
    world = World()
    await world.apply()
    (group,) = world.azure.groups.values()
    group["properties"] |= properties
    assert await world.phases() == [phase]
