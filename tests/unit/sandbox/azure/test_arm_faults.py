import asyncio

import pytest

from azure_sandbox.azure.arm.limits import Limits
from azure_sandbox.azure.errors import ServiceError
from tests.support.azure_client import body, code, put, settle, show


async def script(azure, **fault):
    answer, content = await azure.control("PUT", "faults", json={"faults": [fault]})
    assert answer.status == 200, content


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("throttled", 429, "TooManyRequests"),
        ("unavailable", 503, "ServerTimeout"),
        ("quota", 409, "ContainerGroupQuotaReached"),
        ("image-inaccessible", 400, "InaccessibleImage"),
        ("registry-error", 409, "RegistryErrorResponse"),
    ],
)
async def test_a_scripted_refusal_meets_one_request_and_nothing_is_made(azure, kind, status, expected):
    await script(azure, kind=kind)
    answer, content = await azure.group("PUT", "one", json=body())
    assert (answer.status, code(content)) == (status, expected)
    assert azure.stand_ins.groups.find("one") is None
    await put(azure, "one", body())


async def test_throttling_says_how_long_to_wait(azure):
    await script(azure, kind="throttled", retryAfter=7)
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.headers["Retry-After"] == "7"


async def test_a_lost_answer_leaves_the_group_there(azure):
    await script(azure, kind="unavailable-after-write")
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 503
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"


async def test_missing_capacity_fails_after_the_request_was_accepted(azure):
    await script(azure, kind="capacity", group="o*")
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 201
    await asyncio.sleep(0.05)
    shown = (await show(azure, "one"))["properties"]
    assert shown["provisioningState"] == "Failed"
    assert shown["instanceView"]["events"][0]["name"] == "InsufficientCapacity."
    assert "is not available in the location 'westeurope'" in shown["instanceView"]["events"][0]["message"]


async def test_a_failed_group_may_start_after_all(azure):
    await script(azure, kind="capacity", recoverAfter=0.05)
    answer, _ = await azure.group("PUT", "one", json=body())
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"
    operation = answer.headers["Azure-AsyncOperation"].partition("management.azure.com")[2].partition("?")[0]
    _, polled = await azure.manage("GET", operation)
    assert polled["status"] == "Failed"


async def test_an_unknown_fault_is_refused(azure):
    answer, content = await azure.control("PUT", "faults", json={"faults": [{"kind": "earthquake"}]})
    assert (answer.status, code(content)) == (400, "BadParameter")


def test_a_bucket_empties_and_fills_again():
    now = [0.0]
    limits = Limits(lambda: now[0])
    for _ in range(200):
        limits.admit("PUT")
    with pytest.raises(ServiceError) as caught:
        limits.admit("PUT")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    now[0] = 0.1
    assert limits.admit("PUT")["x-ms-ratelimit-remaining-subscription-writes"] == "0"
    assert limits.admit("GET")["x-ms-ratelimit-remaining-subscription-reads"] == "249"


def test_the_hundred_and_first_creation_within_five_minutes_has_to_wait():
    now = [0.0]
    limits = Limits(lambda: now[0])
    for _ in range(100):
        limits.admit_change("PUT")
    now[0] = 100.0
    with pytest.raises(ServiceError) as caught:
        limits.admit_change("PUT")
    assert caught.value.headers["Retry-After"] == "200"
    now[0] = 301.0
    limits.admit_change("PUT")
