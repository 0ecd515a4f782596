"""Annotations, attestation of each group, and messages that people can act on."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.reconcile.run import Result
from confidential_summarizer.release import build
from confidential_summarizer.targets.observation import GroupPhase
from tests.support.resources import ATTESTATION, VAULT, grant, spec
from tests.unit.reconcile.test_reconcile import ATTESTED, NOW, World, settled


async def test_a_paused_resource_is_looked_at_and_left_alone() -> None:
    world = await settled()
    world.groups.calls.clear()
    world.edit(summarizer={"maxWords": 50})
    world.annotate(pause="true")
    assert (await world.visit()).result is Result.PAUSED
    assert world.groups.calls == []
    assert (world.condition("Ready")["status"], world.reason()) == ("Unknown", "Paused")
    assert world.condition("Reconciling") is None
    world.groups.phase = GroupPhase.FAILED
    assert (await world.visit()).result is Result.PAUSED
    assert world.resource["status"]["readyReplicas"] == 0
    assert (world.reason(), world.reason("Deployed")) == ("Paused", "GroupFailed")
    assert "`csum resume contracts -n legal` ends it" in world.condition("Ready")["message"]


async def test_a_paused_resource_goes_on_where_the_annotation_is_taken_off() -> None:
    world = await settled()
    world.annotate(pause="true")
    await world.visit()
    world.annotate()
    await world.until_ready()
    assert world.reason() == "Ready"


@pytest.mark.parametrize("value", ["", "True", "yes", "0"])
async def test_an_annotation_that_says_neither_yes_nor_no_changes_nothing_and_is_named(value: str) -> None:
    world = await settled()
    world.groups.calls.clear()
    world.edit(replicas=2)
    world.annotate(pause=value)
    assert (await world.visit()).result is Result.STALLED
    assert world.reason() == "InvalidAnnotation"
    assert f"confidential.summarizer.dev/pause is {value!r}" in world.condition("Ready")["message"]
    assert world.groups.calls == []


async def test_a_request_to_reconcile_is_answered_in_the_status() -> None:
    world = await settled()
    world.annotate(reconcile="2026-11-24T12:00:00Z")
    await world.visit()
    assert world.resource["status"]["lastHandledReconcileAt"] == "2026-11-24T12:00:00Z"


async def test_a_status_says_at_once_that_the_images_are_measured_and_only_where_some_are_new() -> None:
    world = World().given()
    await world.visit()
    assert world.events[0][:2] == (True, "Measuring")
    world.events.clear()
    await world.visit()
    world.edit(replicas=2)
    await world.visit()
    assert "Measuring" not in str(world.events)


async def test_a_refused_spec_keeps_its_transition_time_while_its_message_changes() -> None:
    world = World().given()
    world.resource["spec"]["target"] = {}
    await world.visit()
    before = world.condition("Ready")
    world.now = NOW + timedelta(hours=1)
    world.resource["spec"]["replicas"] = -1
    await world.visit()
    after = world.condition("Ready")
    assert after["message"] != before["message"]
    assert after["lastTransitionTime"] == before["lastTransitionTime"]


async def test_conditions_of_other_controllers_stay() -> None:
    world = await settled()
    other = {
        "type": "Billed",
        "status": "True",
        "reason": "Paid",
        "message": "",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
        "observedGeneration": 1,
    }
    world.resource["status"]["conditions"].append(other)
    world.groups.phase = GroupPhase.STARTING
    await world.visit()
    assert world.condition("Billed") == other


MODELS_ATTESTATION = "sharedweu.weu.attest.azure.net"
FILE_SYSTEMS: list[dict[str, Any]] = [
    {
        "name": "models",
        "role": "Models",
        "blobURL": "https://party1.blob.core.windows.net/models/m.img",
        "contentSHA256": "ab" * 32,
        "key": {"name": "models-key", "vault": VAULT, "attestation": MODELS_ATTESTATION},
    },
    spec()["fileSystems"][0],
]


async def test_every_new_group_is_asked_for_its_own_evidence_and_a_kept_one_only_after_an_hour() -> None:
    world = await settled(replicas=2)
    groups = world.resource["status"]["trust"]["attestation"]["groups"]
    assert [group["identity"] for group in groups] == ["start-0-0", "start-0-1"]
    world.pages.asked.clear()
    await world.visit()
    assert world.pages.asked == []
    world.groups.starts = 1  # all groups were made anew under the same names
    await world.visit()
    assert world.pages.asked == ["10.0.0.1:8501", "10.0.0.2:8501"]


async def test_one_false_group_among_good_ones_is_named() -> None:
    world = await settled(replicas=2)
    host_data = world.host_data()
    world.groups.starts = 1
    world.pages.evidence_of = {"10.0.0.2:8501": lambda nonce: ATTESTED.evidence(nonce, "cd" * 32)}
    await world.visit()
    assert world.reason() == "EvidenceRefused"
    assert "group-1" in world.condition("Attested")["message"]
    assert host_data == world.host_data()


async def test_the_documents_attestation_service_is_asked_whatever_comes_first_in_the_spec() -> None:
    world = World().given(fileSystems=FILE_SYSTEMS)
    hosts = ["party1.blob.core.windows.net", "party2.blob.core.windows.net"]
    world.kube.put(grant("*", attestationServices=[ATTESTATION, MODELS_ATTESTATION], blobHosts=hosts))
    await world.visit()
    world.vault.add("models-key", build(["ab" * 32], [MODELS_ATTESTATION]))
    world.vault.add("contracts-key", build([world.host_data()], [ATTESTATION]))
    await world.visit()
    assert world.reason() == "AwaitingApproval"
    command = f"csum key approve legal/contracts --expect-host-data {world.host_data()} --file-system models`"
    assert command in world.condition("Ready")["message"]
    world.vault.add("models-key", build([world.host_data()], [MODELS_ATTESTATION]))
    await world.until_ready()
    assert world.signing_keys.asked == [ATTESTATION]


async def test_the_command_of_an_approval_asks_for_the_token_where_only_a_secret_holds_it() -> None:
    world = World().given(access={"tokenSecretRef": {"name": "readers"}})
    world.kube.put(
        {
            "kind": "Secret",
            "metadata": {
                "name": "readers",
                "namespace": "legal",
                "labels": {"confidential.summarizer.dev/use": "token"},
            },
            "data": {"value": base64.b64encode(b"t" * 32).decode()},
        }
    )
    world.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]))
    await world.visit()
    assert f"--expect-host-data {world.host_data()} --token-file FILE`" in world.condition("Ready")["message"]


async def test_the_command_of_an_approval_needs_no_token_where_the_spec_holds_its_hash() -> None:
    world = World().given(access={"tokenSHA256": "ab" * 32})
    world.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]))
    await world.visit()
    assert "--token-file" not in world.condition("Ready")["message"]


async def test_scaled_to_zero_does_not_say_that_summaries_are_served() -> None:
    world = await settled()
    world.edit(replicas=0)
    await world.until_ready()
    assert (world.condition("Ready")["status"], world.reason()) == ("True", "ScaledToZero")
    assert world.condition("Ready")["message"] == "spec.replicas is 0: no group runs"
    assert "summaries" not in str(world.resource["status"])


async def test_the_end_of_a_sidecar_is_said_beside_what_the_page_sees_of_it() -> None:
    world = await settled()
    world.groups.phase = GroupPhase.RUNNING
    world.groups.message = "encrypted-file-systems: exited with code 1: blob not found"
    world.pages.answers["10.0.0.1:8501"] = {"state": "WaitingForModel", "reason": "Waiting for /mnt/remote/models"}
    await world.visit()
    assert world.reason() == "OpeningFileSystems"
    assert "Waiting for /mnt/remote/models; encrypted-file-systems: exited" in world.condition("Ready")["message"]


async def test_the_secret_to_pull_with_reaches_the_groups() -> None:
    auths = {"auths": {"party1.azurecr.io": {"username": "puller", "password": "planted-password"}}}
    world = World().given(registryCredentials={"secretRef": {"name": "acr"}})
    data = {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()}
    meta = {"name": "acr", "namespace": "legal"}
    world.kube.put({"kind": "Secret", "metadata": meta, "type": "kubernetes.io/dockerconfigjson", "data": data})
    await world.visit()
    world.approved()
    await world.until_ready()
    assert world.groups.deployed is not None
    assert world.groups.deployed.pull_secret == auths
    assert "planted" not in str(world.resource)


async def test_what_groups_are_put_in_is_written_down_before_they_are() -> None:
    world = World().given()
    await world.visit()
    world.approved()
    world.groups.refusal = SummarizerError("a crash")
    await world.visit()
    assert world.groups.calls == []
    assert [place["kind"] for place in world.resource["status"]["placements"]] == ["VirtualNode"]


async def test_measuring_ends_where_people_no_longer_want_its_result() -> None:
    world, changed = World().given(), asyncio.Event()
    world.registry.slow = True
    looking = asyncio.create_task(world.reconciler().visit("legal", "contracts", changed))
    while not world.registry.asked:  # noqa: ASYNC110 - the fake tells nobody
        await asyncio.sleep(0)
    assert world.reason() == "Measuring"
    world.delete()
    changed.set()
    async with asyncio.timeout(1):
        assert (await looking).wait == 1.0
    assert await world.removed()
