"""The ARM client against the sandbox's Resource Manager."""

import asyncio
import base64
import ssl
import tempfile
from pathlib import Path

import aiohttp
import pytest

from azure_sandbox.azure.principals import OPERATOR, SUMMARIZER, identity_resource_id
from azure_sandbox.names import BLOB_ACCOUNT, REGISTRY, RESOURCE_GROUP, RESULTS, SEALED, SUBSCRIPTION
from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.azure.container_groups import ContainerGroups
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.role_assignments import Role, RoleAssignments
from confidential_summarizer.errors import (
    CapacityUnavailable,
    ImageError,
    NotFound,
    QuotaExceeded,
    SpecError,
    Throttled,
    TransientError,
)
from confidential_summarizer.evidence import signing_keys
from confidential_summarizer.targets.container_group.state import events, failure
from tests.support.azure_client import BODY
from tests.support.data_owner import SmallAzure


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        yield azure


@pytest.fixture(autouse=True)
def environment(azure, monkeypatch):
    for name, value in azure.environment(OPERATOR).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


@pytest.fixture
async def groups():
    async with credential() as identity, ContainerGroups(identity, SUBSCRIPTION) as groups:
        yield groups


def body(tag="runs", **properties):
    container = BODY["properties"]["containers"][0]
    image = {"image": f"party1.azurecr.io/summarizer:{tag}"}
    changed = container | {"properties": container["properties"] | image}
    return BODY | {"properties": BODY["properties"] | {"containers": [changed]} | properties}


async def settled(groups, name):
    for _ in range(200):
        group = await groups.get(RESOURCE_GROUP, name)
        if group is None or group["properties"]["provisioningState"] in ("Succeeded", "Failed"):
            return group
        await asyncio.sleep(0.05)
    raise AssertionError("the group does not settle")


async def gone(groups, name):
    await groups.delete(RESOURCE_GROUP, name)
    for _ in range(200):
        if await groups.get(RESOURCE_GROUP, name) is None:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the group does not go away")


async def test_what_an_identity_may_is_read_where_it_was_given_or_above():
    identity = identity_resource_id(SUMMARIZER)
    async with credential() as caller, RoleAssignments(caller, SUBSCRIPTION) as roles:
        sealed = await roles.on_container(identity, BLOB_ACCOUNT, SEALED)
        results = await roles.on_container(identity, BLOB_ACCOUNT, RESULTS)
        elsewhere = await roles.on_container(identity, BLOB_ACCOUNT, "elsewhere")
        registry = await roles.on_registry(identity, REGISTRY)
        with pytest.raises(NotFound, match="shows no storage account payroll"):
            await roles.on_container(identity, "payroll", SEALED)
        with pytest.raises(NotFound):
            await roles.on_container(f"{identity}x", BLOB_ACCOUNT, SEALED)
    wanted = (Role.BLOB_READER, Role.BLOB_CONTRIBUTOR, Role.ACR_PULL)
    assert [sealed.includes(role) for role in wanted] == [True, False, False]
    assert [results.includes(role) for role in wanted] == [True, True, False]
    assert [registry.includes(role) for role in wanted] == [False, False, True]
    assert elsewhere.definitions == frozenset()


async def test_a_group_goes_from_put_to_running_to_gone(groups):
    accepted = await groups.put(RESOURCE_GROUP, "walk", body())
    assert accepted["name"] == "walk"

    group = await settled(groups, "walk")

    assert group["properties"]["instanceView"]["state"] == "Running"
    assert failure(group) is None
    assert [one["name"] for one in await groups.list(RESOURCE_GROUP)] == ["walk"]
    assert await groups.logs(RESOURCE_GROUP, "walk", "app", tail=2) == "two\nthree"
    await gone(groups, "walk")
    await groups.delete(RESOURCE_GROUP, "walk")


async def test_fields_that_are_newer_than_the_sdk_come_back_as_they_were_sent(groups):
    policy = base64.b64encode(b"package policy\n").decode()
    await groups.put(RESOURCE_GROUP, "plain", body(confidentialComputeProperties={"ccePolicy": policy}))

    group = await settled(groups, "plain")

    assert group["properties"]["confidentialComputeProperties"] == {"ccePolicy": policy}
    assert group["tags"] == {"owner": "legal"}
    await gone(groups, "plain")


async def test_a_denied_group_has_the_decision_among_its_events(groups):
    await groups.put(RESOURCE_GROUP, "denied", body("denied"))

    group = await settled(groups, "denied")

    assert group["properties"]["provisioningState"] == "Failed"
    assert "policyDecision<" in events(group)[0]["message"]
    assert failure(group) is not None
    await gone(groups, "denied")


async def test_a_missing_image_is_an_image_error(groups):
    with pytest.raises(ImageError, match="InaccessibleImage"):
        await groups.put(RESOURCE_GROUP, "imageless", body("missing"))


async def test_an_empty_policy_is_named(groups):
    with pytest.raises(SpecError, match="CCE Policy"):
        await groups.put(RESOURCE_GROUP, "empty", body(confidentialComputeProperties={"ccePolicy": ""}))


async def test_a_missing_resource_group_is_named(groups):
    with pytest.raises(NotFound, match="resource group"):
        await groups.put("nowhere", "g", body())
    with pytest.raises(NotFound):
        await groups.get("nowhere", "g")


async def script(**fault):
    async with aiohttp.ClientSession(trust_env=True) as session:
        url = "https://management.azure.com/sandbox/faults"
        async with session.post(url, json={"service": "resource-manager", "method": "PUT", **fault}) as answer:
            assert answer.status == 201, await answer.text()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("quota", QuotaExceeded),
        ("throttled", Throttled),
        ("unavailable", TransientError),
        ("image-inaccessible", ImageError),
        ("registry-error", TransientError),
    ],
)
async def test_a_refusal_is_seen_at_once_as_what_it_is(groups, kind, error):
    await script(kind=kind, retry_after=3)

    with pytest.raises(error) as caught:
        await groups.put(RESOURCE_GROUP, "faulty", body())

    assert type(caught.value) is error
    if error is Throttled:
        assert caught.value.retry_after == 3


async def test_a_lack_of_capacity_is_found_in_the_groups_events(groups):
    await script(kind="capacity")
    await groups.put(RESOURCE_GROUP, "large", body())

    group = await settled(groups, "large")

    assert type(failure(group)) is CapacityUnavailable
    await gone(groups, "large")


async def test_a_write_that_timed_out_may_have_been_done(groups):
    await script(kind="answer-lost")

    with pytest.raises(TransientError, match="may exist"):
        await groups.put(RESOURCE_GROUP, "ambiguous", body())

    assert await settled(groups, "ambiguous") is not None
    await gone(groups, "ambiguous")


async def test_the_attestation_service_publishes_its_keys():
    async with AttestationService("sharedeus2.eus2.attest.azure.net") as service:
        assert signing_keys(await service.signing_keys())


async def test_tags_change_and_a_stopped_group_starts_without_being_sent_again(groups):
    await groups.put(RESOURCE_GROUP, "tagged", body())
    await settled(groups, "tagged")

    await groups.tag(RESOURCE_GROUP, "tagged", {"owner": "other"})
    await groups._groups.stop(RESOURCE_GROUP, "tagged")
    assert (await groups.get(RESOURCE_GROUP, "tagged"))["properties"]["instanceView"]["state"] == "Stopped"
    await groups.start(RESOURCE_GROUP, "tagged")

    group = await settled(groups, "tagged")
    assert group["tags"] == {"owner": "other"}
    assert group["properties"]["instanceView"]["state"] == "Running"
    await gone(groups, "tagged")


async def test_the_quota_of_a_region_is_told_by_name(groups):
    usages = await groups.usages("westeurope")
    assert usages["ContainerGroups"][1] == usages["ConfidentialCores"][1] == 100
    assert usages["ContainerGroups"][0] >= 0
