"""A real group straight through Resource Manager: its images are pulled with the identity that it names, or not at all."""

import asyncio
import os
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from azure_sandbox.azure.principals import OPERATOR, SUMMARIZER, identity_resource_id
from azure_sandbox.built_programs import MODULE
from azure_sandbox.golang import build
from azure_sandbox.names import REGISTRY, RESOURCE_GROUP, SUBSCRIPTION
from azure_sandbox.registry import Registry
from confidential_summarizer.azure.container_groups import ContainerGroups
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.errors import ImageError
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.registry import RegistryClient
from confidential_summarizer.registry.azure import AUDIENCE, AzureIdentity
from tests.support.data_owner import SmallAzure
from tests.support.guest_images import base_layer, push, registry

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and mounts need root")]

IDENTITY = identity_resource_id(SUMMARIZER)
IMAGE = f"{REGISTRY}/tiny:latest"
PULLING = [{"server": REGISTRY, "identity": IDENTITY}]


@pytest.fixture(scope="module")
def azure() -> Iterator[SmallAzure]:
    """The stand-ins with real guests, and a registry that was filled before it began to ask for credentials."""
    build(MODULE, dict(os.environ), print)
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        azure = SmallAzure(Path(home), [sys.executable, "-m", "azure_sandbox.azure", "--home", home])
        with registry(azure.state.registry) as host:
            push(host, "tiny", [base_layer()], {"Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"})
        with azure.running():
            Registry(azure.state).up(print)
            yield azure
            Registry(azure.state).down()


@pytest.fixture(autouse=True)
def environment(azure: SmallAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azure.environment(OPERATOR).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


@pytest.fixture
async def groups() -> AsyncIterator[ContainerGroups]:
    async with credential() as identity, ContainerGroups(identity, SUBSCRIPTION) as groups:
        yield groups


async def group_of(credentials: list[dict[str, str]]) -> dict[str, Any]:
    container = {"image": IMAGE, "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}}
    group: dict[str, Any] = {
        "location": "westeurope",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "sku": "Confidential",
            "osType": "Linux",
            "restartPolicy": "Never",
            "containers": [{"name": "tiny", "properties": container}],
            "imageRegistryCredentials": credentials,
        },
    }

    async def token() -> str:
        async with credential() as identity:
            return (await identity.get_token(AUDIENCE)).token

    async with RegistryClient(AzureIdentity(token)) as client:
        images = {IMAGE: await Measurer().measure(client, IMAGE)}
    policy = container_group_policy(group, images, PolicySettings()).base64
    group["properties"]["confidentialComputeProperties"] = {"ccePolicy": policy}
    return group


async def test_a_group_runs_from_images_that_its_identity_may_pull(groups: ContainerGroups) -> None:
    await groups.put(RESOURCE_GROUP, "tiny", await group_of(PULLING))
    async with asyncio.timeout(120):
        while True:
            group = await groups.get(RESOURCE_GROUP, "tiny")
            assert group is not None
            if group["properties"]["provisioningState"] in ("Succeeded", "Failed"):
                break
            await asyncio.sleep(0.2)
    assert group["properties"]["instanceView"]["state"] == "Running", group
    await groups.delete(RESOURCE_GROUP, "tiny")


async def test_a_group_that_names_no_credential_is_refused_at_once(groups: ContainerGroups) -> None:
    with pytest.raises(ImageError, match="InaccessibleImage"):
        await groups.put(RESOURCE_GROUP, "tiny-too", await group_of([]))
    assert await groups.get(RESOURCE_GROUP, "tiny-too") is None
