import asyncio

import pytest

from azure_sandbox.azure.arm.limits import Limits
from azure_sandbox.azure.errors import ServiceError
from tests.support.azure_client import body, code, put, settle, show


async def script(azure, **fault):
    given = {"service": "resource-manager", "method": "PUT", **fault}
    answer, content = await azure.control("POST", "faults", json=given)
    assert answer.status == 201, content


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
    await script(azure, kind="throttled", retry_after=7)
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.headers["Retry-After"] == "7"


async def test_a_lost_answer_leaves_the_group_there(azure):
    await script(azure, kind="answer-lost")
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 503
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"


async def test_missing_capacity_fails_after_the_request_was_accepted(azure):
    await script(azure, kind="capacity", path="*/containergroups/o*")
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 201
    await asyncio.sleep(0.05)
    shown = (await show(azure, "one"))["properties"]
    assert shown["provisioningState"] == "Failed"
    assert shown["instanceView"]["events"][0]["name"] == "InsufficientCapacity."
    assert "is not available in the location 'westeurope'" in shown["instanceView"]["events"][0]["message"]


async def test_a_failed_group_may_start_after_all(azure):
    await script(azure, kind="capacity", recover_after=0.05)
    answer, _ = await azure.group("PUT", "one", json=body())
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"
    operation = answer.headers["Azure-AsyncOperation"].partition("management.azure.com")[2].partition("?")[0]
    _, polled = await azure.manage("GET", operation)
    assert polled["status"] == "Failed"


async def test_an_image_that_cannot_be_pulled_fails_after_the_request_was_accepted(azure):
    await script(azure, kind="image-pull")
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 201
    await asyncio.sleep(0.05)
    shown = (await show(azure, "one"))["properties"]
    assert shown["provisioningState"] == "Failed"
    assert "Failed to pull image 'party1.azurecr.io/" in shown["instanceView"]["events"][0]["message"]


async def test_a_slow_operation_succeeds_later(azure):
    await script(azure, kind="slow-operation", delay=0.3)
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 201
    assert (await show(azure, "one"))["properties"]["provisioningState"] in ("Pending", "Creating")
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"service": "vault", "kind": "earthquake"}, "kind has to be one of throttled, "),
        ({"service": "vault", "kind": "quota"}, "for vault"),
        ({"service": "moon", "kind": "slow"}, "service has to be one of login, "),
        ({"service": "vault", "kind": "slow", "sooner": 1}, "sooner: a fault has service, kind, "),
    ],
)
async def test_a_fault_that_cannot_happen_is_refused_with_what_can(azure, fault, text):
    answer, content = await azure.control("POST", "faults", json=fault)
    assert (answer.status, code(content)) == (400, "BadParameter")
    assert text in content["error"]["message"]


VAULT = "party2.managedhsm.azure.net"
HOSTS = {"login": "login.microsoftonline.com", "vault": VAULT, "attestation": "sharedeus2.eus2.attest.azure.net"}
PATHS = {
    "login": "/common/v2.0/.well-known/openid-configuration",
    "vault": "/keys?api-version=7.4",
    "attestation": "/certs",
}


@pytest.mark.parametrize("service", HOSTS)
@pytest.mark.parametrize(("kind", "status"), [("throttled", 429), ("unavailable", 503), ("broken", 500)])
async def test_every_service_fails_as_often_as_it_was_told_and_no_other_does(azure, service, kind, status):
    before = {one: (await azure.call("GET", HOSTS[one], PATHS[one]))[0].status for one in HOSTS}
    await script(azure, service=service, kind=kind, times=2, method="*")
    for one in HOSTS:
        found = [(await azure.call("GET", HOSTS[one], PATHS[one]))[0].status for _ in range(3)]
        assert found == ([status, status, before[one]] if one == service else [before[one]] * 3)
    _, shown = await azure.control("GET", "faults")
    assert shown == {"faults": [], "met": {f"{service} {kind}": 2}}


@pytest.mark.parametrize(
    ("host", "service", "said"),
    [
        ("party1.azurecr.io", "registry", '"errors"'),
        ("party2.blob.core.windows.net", "blobs", "<Code>TooManyRequests</Code>"),
    ],
)
async def test_what_a_real_program_answers_fails_in_its_own_words(azure, host, service, said):
    await script(azure, service=service, kind="throttled", method="*", retry_after=3)
    answer, content = await azure.call("GET", host, "/v2/")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert said in (content if isinstance(content, str) else await answer.text())


async def test_an_outage_ends_by_itself_and_spares_the_sandboxs_own_controls(azure):
    now = [0.0]
    azure.stand_ins.faults.clock = lambda: now[0]
    await script(azure, kind="unavailable", method="*", seconds=60)
    for _ in range(5):
        assert (await azure.group("GET", "one"))[0].status == 503
    assert (await azure.control("GET", "health"))[0].status == 200
    now[0] = 61.0
    assert (await azure.group("GET", "one"))[0].status == 404


async def test_a_cleared_fault_does_not_happen(azure):
    await script(azure, kind="unavailable", method="*", seconds=60)
    assert (await azure.control("DELETE", "faults"))[0].status == 204
    assert (await azure.group("GET", "one"))[0].status == 404


async def test_a_seed_lets_the_same_share_of_requests_fail_each_time(azure):
    found = []
    for seed in (7, 7, 8):
        await script(azure, kind="unavailable", method="*", times=1000, chance=0.5, seed=seed)
        found.append([(await azure.group("GET", "one"))[0].status for _ in range(40)])
        await azure.control("DELETE", "faults")
    assert found[0] == found[1] != found[2]
    assert 10 < found[0].count(503) < 30


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
