import asyncio
import shutil
import threading

import pytest

from azure_sandbox.azure.principals import OPERATOR, SUMMARIZER, identity_resource_id
from tests.support.azure_client import GROUPS, body, code, put, settle, settle_deletion, show


async def test_a_new_group_answers_201_and_an_operation_on_the_callers_own_host(azure):
    answer, content = await azure.group("PUT", "one", json=body())
    assert answer.status == 201
    assert content["properties"]["provisioningState"] == "Pending"
    assert "/locations/westeurope/operations/" in answer.headers["Azure-AsyncOperation"]
    assert answer.headers["Azure-AsyncOperation"].split("/")[2] == "management.azure.com"
    assert answer.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    await settle(azure, "one")
    operation = answer.headers["Azure-AsyncOperation"].partition("management.azure.com")[2].partition("?")[0]
    _, polled = await azure.manage("GET", operation)
    assert polled["status"] == "Succeeded"
    assert polled["id"].endswith("/containerGroups/one")


async def test_an_identical_put_restarts_the_containers(azure):
    await put(azure, "one", body())
    answer = await put(azure, "one", body())
    assert answer.status == 200
    app = (await show(azure, "one"))["properties"]["containers"][0]["properties"]
    assert app["instanceView"]["restartCount"] == 1


async def test_a_changed_image_replaces_the_guest(azure):
    await put(azure, "one", body())
    first = azure.stand_ins.groups.get("one").guest
    await put(azure, "one", body("ends"))
    assert first.calls[-1] == "stop"
    assert (await show(azure, "one"))["properties"]["instanceView"]["state"] == "Succeeded"


@pytest.mark.parametrize(
    "change",
    [
        {"restartPolicy": "Always"},
        {"confidentialComputeProperties": {"ccePolicy": "cGFja2FnZSBvdGhlcgo="}},
        {"subnetIds": [{"id": "/subnets/other"}]},
    ],
)
async def test_what_the_machine_was_made_with_cannot_change(azure, change):
    await put(azure, "one", body())
    answer, content = await azure.group("PUT", "one", json=body(**change))
    assert (answer.status, code(content)) == (400, "InvalidContainerGroupUpdate")


async def test_a_size_cannot_change(azure):
    await put(azure, "one", body())
    bigger = body()
    bigger["properties"]["containers"][0]["properties"]["resources"]["requests"]["cpu"] = 2
    _, content = await azure.group("PUT", "one", json=bigger)
    assert code(content) == "InvalidContainerGroupUpdate"


async def test_a_group_that_has_ended_takes_no_update(azure):
    await put(azure, "one", body("ends"))
    answer, content = await azure.group("PUT", "one", json=body("ends"))
    assert (answer.status, code(content)) == (400, "InvalidContainerGroupUpdate")


async def test_a_group_on_its_way_takes_no_put_but_can_be_deleted(azure):
    await azure.group("PUT", "one", json=body("slow"))
    await asyncio.sleep(0)
    answer, content = await azure.group("PUT", "one", json=body("slow"))
    assert (answer.status, code(content)) == (409, "ContainerGroupTransitioning")
    answer, _ = await azure.group("DELETE", "one")
    assert answer.status == 202
    await settle_deletion(azure, "one")
    answer, content = await azure.group("GET", "one")
    assert (answer.status, code(content)) == (404, "ResourceNotFound")


async def test_deleting_what_is_not_there_answers_204(azure):
    answer, _ = await azure.group("DELETE", "none")
    assert answer.status == 204


async def test_a_name_is_free_again_after_the_deletion_and_nothing_is_left_on_disk(azure, state):
    await put(azure, "one", body())
    await azure.group("DELETE", "one")
    await settle_deletion(azure, "one")
    assert not (state.groups / "one").exists()
    answer, _ = await azure.group("PUT", "one", json=body())
    assert answer.status == 201


async def test_secrets_are_not_shown(azure):
    content = body()
    content["properties"] |= {
        "volumes": [
            {"name": "hidden", "secret": {"file": "cGxhbnRlZA=="}},
            {
                "name": "files",
                "azureFile": {"shareName": "s", "storageAccountName": "a", "storageAccountKey": "planted"},
            },
        ],
        "imageRegistryCredentials": [{"server": "r", "username": "u", "password": "planted"}],
        "diagnostics": {"logAnalytics": {"workspaceId": "w", "workspaceKey": "planted"}},
    }
    await put(azure, "one", content)
    for _, shown in (await azure.group("GET", "one"), await azure.manage("GET", GROUPS)):
        assert "planted" not in str(shown)
        assert "cGxhbnRlZA" not in str(shown)
        assert "cGFja2FnZSBwb2xpY3kK" in str(shown)


async def test_a_list_has_no_instance_views(azure):
    await put(azure, "one", body())
    _, content = await azure.manage("GET", GROUPS)
    assert [group["name"] for group in content["value"]] == ["one"]
    assert "instanceView" not in str(content)


async def test_patch_changes_tags_and_nothing_else(azure):
    await put(azure, "one", body())
    answer, content = await azure.group("PATCH", "one", json={"tags": {"a": "b"}, "properties": {"sku": "Standard"}})
    assert answer.status == 200
    assert (content["tags"], content["properties"]["sku"]) == ({"a": "b"}, "Confidential")


async def test_an_identity_shows_its_ids(azure):
    identity = identity_resource_id("summarizer")
    content = body() | {"identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}}
    await put(azure, "one", content)
    shown = (await show(azure, "one"))["identity"]["userAssignedIdentities"][identity]
    assert shown["clientId"] == azure.stand_ins.principals["summarizer"].client_id


async def test_an_unknown_identity_is_refused(azure):
    content = body() | {"identity": {"userAssignedIdentities": {identity_resource_id("stranger"): {}}}}
    answer, shown = await azure.group("PUT", "one", json=content)
    assert (answer.status, code(shown)) == (400, "FailedIdentityOperation")


async def test_a_denied_group_fails_with_the_decision_and_can_be_put_again(azure):
    answer, _ = await azure.group("PUT", "one", json=body("denied"))
    await settle(azure, "one")
    operation = answer.headers["Azure-AsyncOperation"].partition("management.azure.com")[2].partition("?")[0]
    _, polled = await azure.manage("GET", operation)
    assert (polled["status"], polled["error"]["code"]) == ("Failed", "Failed")
    assert "policyDecision<" in polled["error"]["message"]
    assert [event["name"] for event in polled["properties"]["events"]] == ["Failed"]
    answer, _ = await azure.group("PUT", "one", json=body("runs"))
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["provisioningState"] == "Succeeded"


async def test_stop_start_and_restart(azure):
    await put(azure, "one", body())
    answer, _ = await azure.group("POST", "one", "/stop")
    assert answer.status == 204
    assert (await show(azure, "one"))["properties"]["instanceView"]["state"] == "Stopped"
    answer, _ = await azure.group("POST", "one", "/start")
    assert answer.status == 202
    await settle(azure, "one")
    assert (await show(azure, "one"))["properties"]["instanceView"]["state"] == "Running"
    answer, _ = await azure.group("POST", "one", "/restart")
    assert answer.status == 204
    await settle(azure, "one")
    assert azure.stand_ins.groups.get("one").guest.calls == ["check_images", "start", "stop", "start", "restart"]


async def test_maintenance_restarts_a_group_without_a_request_for_it(azure):
    await put(azure, "one", body())
    await azure.control("POST", "groups/one/maintenance")
    await settle(azure, "one")
    app = (await show(azure, "one"))["properties"]["containers"][0]["properties"]
    assert app["instanceView"]["restartCount"] == 1


async def test_logs_of_an_unknown_container_are_not_found(azure):
    await put(azure, "one", body())
    answer, content = await azure.group("GET", "one", "/containers/app/logs?tail=1")
    assert content == {"content": "three"}
    answer, content = await azure.group("GET", "one", "/containers/other/logs")
    assert (answer.status, code(content)) == (404, "ContainerNotFound")


async def test_resource_ids_do_not_depend_on_case(azure):
    await put(azure, "one", body())
    path = GROUPS.upper().replace("/SUBSCRIPTIONS", "/subscriptions")
    answer, _ = await azure.manage("GET", f"{path}/ONE")
    assert answer.status == 200


async def test_groups_that_ran_start_again_with_the_next_process_and_ended_ones_stay_ended(run_azure):
    async with run_azure() as azure:
        await put(azure, "runs", body())
        await put(azure, "ended", body("ends"))
        await put(azure, "denied", body("denied"))
        address = azure.stand_ins.groups.get("runs").address
    async with run_azure() as azure:
        await settle(azure, "runs")
        assert azure.stand_ins.groups.get("runs").guest.calls == ["start"]
        assert azure.stand_ins.groups.get("runs").address == address
        assert (await show(azure, "ended"))["properties"]["instanceView"]["state"] == "Succeeded"
        assert azure.stand_ins.groups.get("ended").guest.calls == []
        denied = (await show(azure, "denied"))["properties"]
        assert denied["provisioningState"] == "Failed"
        assert "policyDecision<" in str(denied["containers"][0]["properties"]["instanceView"]["events"])


async def test_a_groups_file_is_closed_to_others(azure, state):
    await put(azure, "one", body())
    assert (state.groups / "one" / "resource.json").stat().st_mode & 0o777 == 0o600


async def test_requests_without_version_token_or_group_are_refused_as_by_the_service(azure):
    path = f"{GROUPS}/one"
    _, content = await azure.call(
        "GET", "management.azure.com", path, token=azure.token(OPERATOR, "https://management.azure.com")
    )
    assert code(content) == "MissingApiVersionParameter"
    _, content = await azure.manage("GET", path, "2001-01-01")
    assert code(content) == "NoRegisteredProviderFound"
    answer, content = await azure.call("GET", "management.azure.com", f"{path}?api-version=2023-05-01")
    assert (answer.status, code(content)) == (401, "AuthenticationFailed")
    _, content = await azure.manage("GET", path.replace("/sandbox/", "/elsewhere/"))
    assert code(content) == "ResourceGroupNotFound"


async def test_a_missing_image_leaves_nothing_behind(azure, state):
    answer, content = await azure.group("PUT", "one", json=body("missing"))
    assert (answer.status, code(content)) == (400, "InaccessibleImage")
    assert not (state.groups / "one").exists()


async def test_a_change_to_a_missing_image_leaves_the_group_running(azure):
    await put(azure, "one", body())
    _, content = await azure.group("PUT", "one", json=body("missing"))
    assert code(content) == "InaccessibleImage"
    shown = (await show(azure, "one"))["properties"]
    assert shown["instanceView"]["state"] == "Running"
    assert shown["containers"][0]["properties"]["image"].endswith(":runs")


async def test_there_is_no_way_into_a_running_container(azure):
    await put(azure, "one", body())
    answer, content = await azure.group("POST", "one", "/containers/app/exec", json={"command": "/bin/sh"})
    assert (answer.status, code(content)) == (501, "NotImplemented")


async def test_a_group_can_be_looked_at_while_its_folder_is_removed_and_nothing_stays(azure, monkeypatch):
    await put(azure, "one", body())
    directory = azure.stand_ins.groups.get("one").directory
    removed, seen = threading.Event(), threading.Event()
    remove = shutil.rmtree

    def slowly(path, **options):
        remove(path, **options)
        removed.set()
        assert seen.wait(5)

    monkeypatch.setattr(shutil, "rmtree", slowly)
    await azure.group("DELETE", "one")
    assert await asyncio.to_thread(removed.wait, 5)
    answer, content = await azure.group("GET", "one")
    seen.set()
    await settle_deletion(azure, "one")

    assert (answer.status, content["properties"]["provisioningState"]) == (200, "Deleting")
    assert not directory.exists()


async def test_a_token_for_another_service_or_of_a_group_s_identity_is_refused_as_by_the_service(azure):
    path = f"{GROUPS}/one?api-version=2023-05-01"
    for token in ("any", azure.token(OPERATOR, "https://managedhsm.azure.net")):
        answer, content = await azure.call("GET", "management.azure.com", path, token=token)
        assert (answer.status, code(content)) == (401, "InvalidAuthenticationTokenAudience")
    token = azure.token(SUMMARIZER, "https://management.azure.com")
    answer, content = await azure.call("PUT", "management.azure.com", path, token=token, json=body())
    assert (answer.status, code(content)) == (403, "AuthorizationFailed")
    assert "does not have authorization to perform action" in content["error"]["message"]
