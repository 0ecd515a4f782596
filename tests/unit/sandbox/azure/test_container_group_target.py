"""The operator's target against the sandbox's Resource Manager: what it shows of a group is what was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from azure_sandbox.azure.principals import SUMMARIZER, identity_resource_id
from azure_sandbox.names import RESOURCE_GROUP, SUBSCRIPTION
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.targets.container_group.target import ContainerGroupTarget
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.observation import GroupPhase
from confidential_summarizer.targets.target import Desired, Plan, Removal
from tests.support.azure_client import GROUPS, Azure, settle, settle_deletion
from tests.support.fakes import FakeKube, FakePages, measured
from tests.support.resources import resource

TARGET = {
    "containerGroup": {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": RESOURCE_GROUP,
        "location": "westeurope",
        "subnetIDs": [
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Network/virtualNetworks/"
            "sandbox/subnets/cg"
        ],
    }
}


@dataclass
class Groups:
    """`ContainerGroupsAPI` on the stand-ins of this process."""

    azure: Azure
    calls: list[str] = field(default_factory=list)

    async def _ask(self, method: str, name: str, rest: str = "", **options: Any) -> Any:
        answer, content = await self.azure.group(method, name, rest, **options)
        assert answer.status < 300 or answer.status == 404, content
        if method != "GET":
            self.calls.append(f"{method} {name.rpartition('-')[2]}")
        return content if answer.status < 300 else None

    async def put(self, resource_group: str, name: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("PUT", name, json=body)

    async def get(self, resource_group: str, name: str) -> Any:
        return await self._ask("GET", name)

    async def delete(self, resource_group: str, name: str) -> None:
        await self._ask("DELETE", name)

    async def start(self, resource_group: str, name: str) -> None:
        await self._ask("POST", name, "/start")

    async def tag(self, resource_group: str, name: str, tags: Mapping[str, str]) -> None:
        await self._ask("PATCH", name, json={"tags": dict(tags)})

    async def list(self, resource_group: str) -> Any:
        _, content = await self.azure.manage("GET", GROUPS)
        return content["value"]


class World:
    def __init__(self, azure: Azure) -> None:
        self.azure, self.groups, self.pages = azure, Groups(azure), FakePages()
        self.status = resource().status
        self.target = ContainerGroupTarget(lambda subscription: self.groups, self.pages, FakeKube())

    def resource(self, **changes: Any) -> ConfidentialSummarizer:
        identity = {"resourceID": identity_resource_id(SUMMARIZER)}
        wanted = resource(target=TARGET, identity=identity, **changes)
        return wanted.model_copy(update={"status": self.status})

    async def step(self, **changes: Any) -> Plan:
        """Do what one reconcile does, and let what it began come to its end."""
        wanted = self.resource(**changes)
        images = {c: measured(reference) for c, reference in image_references(wanted).items()}
        desired = Desired(wanted, derive(wanted, images))
        plan = self.target.plan(desired, await self.target.read(wanted), datetime.now(UTC))
        self.status = self.status.model_copy(update={"placements": wanted.placements, "attempts": list(plan.attempts)})
        await self.target.execute(plan)
        await self.rest()
        return plan

    async def rest(self) -> None:
        for group in list(self.azure.stand_ins.groups):
            await (settle_deletion if group.provisioning_state == "Deleting" else settle)(self.azure, group.name)
        for group in self.azure.stand_ins.groups:
            self.pages.answers[f"{group.address}:8501"] = {"state": "Ready"}


@pytest.fixture
def world(azure: Azure) -> World:
    return World(azure)


async def test_a_group_that_runs_as_it_was_sent_is_left_alone_whichever_way_it_is_read(world: World) -> None:
    await world.step()
    assert await world.step() == Plan()  # its page is ready: the list is enough
    world.pages.answers.clear()
    assert await world.step() == Plan()  # its page is slow: the group itself is read
    observation = await world.target.observe(world.resource(), await world.target.read(world.resource()), "")
    assert [group.phase for group in observation.groups] == [GroupPhase.READY]


async def test_another_size_takes_effect_by_another_group(world: World) -> None:
    await world.step()
    world.groups.calls.clear()
    for _ in range(3):
        await world.step(resources={"cpu": "4", "memory": "8G"})
    assert world.groups.calls == ["PUT 1", "DELETE 0"]
    (group,) = world.azure.stand_ins.groups
    assert group.body["properties"]["containers"][0]["properties"]["resources"]["requests"]["cpu"] == 4


async def test_a_group_that_somebody_stopped_is_started(world: World) -> None:
    await world.step()
    (group,) = world.azure.stand_ins.groups
    await world.groups._ask("POST", group.name, "/stop")
    world.pages.answers.clear()
    plan = await world.step()
    assert [str(step) for step in plan.steps] == [f"starts {group.name}"]
    assert group.view().state == "Running"


async def test_tags_that_somebody_replaced_come_back_and_nothing_restarts(world: World) -> None:
    await world.step()
    (group,) = world.azure.stand_ins.groups
    await world.groups.tag(RESOURCE_GROUP, group.name, {"cost-centre": "7"})
    await world.step()
    assert group.body["tags"]["confidential-summarizer-uid"] == "uid-1"
    assert "restart" not in group.guest.calls
    assert await world.step() == Plan()


async def test_removal_ends_when_the_groups_are_gone_and_a_missing_resource_group_holds_none(world: World) -> None:
    await world.step(replicas=2)
    metadata = world.resource().metadata
    assert len((await world.target.remove(metadata, world.status.placements, orphan=False)).left) == 2
    await world.rest()
    assert await world.target.remove(metadata, world.status.placements, orphan=False) == Removal()
    assert list(world.azure.stand_ins.groups) == []
