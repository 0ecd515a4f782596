"""A service that the operator needs for nothing but checks goes away: groups serve on, and the status stays true."""

from datetime import timedelta
from typing import Any

import pytest

from confidential_summarizer.errors import AccessDenied, TransientError
from confidential_summarizer.reconcile.run import Result
from confidential_summarizer.targets.observation import GroupPhase
from tests.unit.reconcile.test_reconcile import NOW, World, settled

AWAY = TransientError("the service answers 503")


def take_away(world: World, what: str) -> None:
    if what == "vault":
        world.vault.error = AWAY
    elif what == "registry":
        world.registry.error = AWAY
    elif what == "attestation":
        world.signing_keys.error = AWAY
        world.groups.starts += 1  # somebody has to be asked, or nobody notices
    else:
        world.groups.error = AWAY


@pytest.mark.parametrize("what", ["vault", "registry", "target"])
async def test_what_was_known_is_said_with_its_age_until_the_grace_period_is_over(what: str) -> None:
    world = await settled()
    take_away(world, what)
    world.now = NOW + timedelta(minutes=5)
    assert (await world.visit()).result is not Result.DONE
    assert world.condition("Ready")["status"] == "True"
    assert world.resource["status"]["unconfirmedSince"] == "2026-11-24T12:05:00Z"
    said = [c["message"] for c in world.resource["status"]["conditions"]]
    assert sum("not confirmed since 12:05 UTC: the service answers 503" in message for message in said) == 1
    world.now = NOW + timedelta(minutes=21)
    await world.visit()
    assert world.reason() == "ServiceUnavailable"
    assert world.condition("Ready")["status"] == "False"


async def test_a_new_group_counts_only_once_the_attestation_service_has_answered() -> None:
    world = await settled()
    take_away(world, "attestation")
    await world.visit()
    assert world.reason("Attested") == "Verified"
    assert "not confirmed since" in world.condition("Attested")["message"]
    world.signing_keys.error = None
    await world.until_ready()
    assert "not confirmed" not in str(world.resource["status"])
    assert "unconfirmedSince" not in world.resource["status"]


@pytest.mark.parametrize("what", ["vault", "registry"])
async def test_groups_are_looked_at_while_a_service_is_away(what: str) -> None:
    world = await settled()
    take_away(world, what)
    world.groups.phase, world.groups.message = GroupPhase.FAILED, "out of memory"
    await world.visit()
    assert world.reason() == "GroupFailed"
    assert world.resource["status"]["readyReplicas"] == 0


@pytest.mark.parametrize("known", [{"placements": []}, {"replicas": 0}], ids=["no places", "no number"])
async def test_groups_of_which_the_status_knows_only_half_are_looked_at_as_well(known: dict[str, Any]) -> None:
    """Earlier operators remembered a number of replicas alone."""
    world = await settled()
    world.resource["status"] |= known
    take_away(world, "vault")
    world.groups.phase, world.groups.message = GroupPhase.FAILED, "out of memory"
    await world.visit()
    assert world.reason() == "GroupFailed"


async def test_a_page_is_asked_what_it_waits_for_while_a_service_is_away() -> None:
    world = await settled()
    take_away(world, "vault")
    world.groups.phase = GroupPhase.RUNNING
    world.pages.answers["10.0.0.1:8501"] = {"state": "Mounted", "reason": "12 of 40 documents"}
    await world.visit()
    assert (world.reason(), world.condition("Ready")["message"]) == ("Summarizing", "group-0: 12 of 40 documents")


async def test_an_outage_writes_its_status_once() -> None:
    world = await settled()
    take_away(world, "vault")
    await world.visit()
    world.kube.writes.clear()
    world.now = NOW + timedelta(minutes=2)
    await world.visit()
    assert world.kube.writes == []


async def test_scaling_goes_on_while_the_vault_is_away() -> None:
    world = await settled()
    take_away(world, "vault")
    world.edit(replicas=3)
    for _ in range(2):
        await world.visit()
    assert world.resource["status"]["readyReplicas"] == 3
    assert world.condition("Ready")["status"] == "True"


async def test_another_policy_is_not_rolled_out_while_the_vault_is_away() -> None:
    world = await settled()
    take_away(world, "vault")
    world.groups.calls.clear()
    world.edit(summarizer={"maxWords": 50})
    await world.visit()
    assert world.groups.calls == []
    assert world.reason() == "ServiceUnavailable"
    assert world.resource["status"]["readyReplicas"] == 1


async def test_pauses_grow_with_the_outage() -> None:
    world = await settled()
    take_away(world, "vault")
    pauses = []
    for minutes in (0, 1, 5, 60):
        world.now = NOW + timedelta(minutes=minutes)
        pauses.append((await world.visit()).wait)
    assert pauses == [5.0, 12.0, 60.0, 300.0]


async def test_a_role_that_was_taken_away_is_no_outage() -> None:
    world = await settled()
    world.vault.error = AccessDenied("the identity may not read the key")
    await world.visit()
    assert world.reason() == "AccessDenied"
    assert world.resource["status"]["readyReplicas"] == 1


async def test_what_a_service_makes_up_for_each_answer_does_not_reach_the_status() -> None:
    world = World().given()
    world.registry.error = TransientError(
        "no token: AADSTS700213 Trace ID: 0f0e1d2c-1111-2222-3333-444455556666 Correlation ID: "
        "0f0e1d2c-1111-2222-3333-444455556666 Timestamp: 2026-11-24 12:00:00Z. Ask the administrator."
    )
    await world.visit()
    message = world.condition("Ready")["message"]
    assert message == "no token: AADSTS700213. Ask the administrator."
