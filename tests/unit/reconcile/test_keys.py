"""Which keys the operator waits for, changes, and leaves alone: those of a data owner, whatever happens."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.reconcile.key_tags import Owner, added, first_tags
from confidential_summarizer.reconcile.run import Result
from confidential_summarizer.release import ReleasePolicy, build
from confidential_summarizer.targets.observation import GroupPhase
from tests.support.resources import ATTESTATION, spec
from tests.unit.reconcile.test_reconcile import ATTESTED, IMPORTED, NOW, World, material, settled

OLDER = "ab" * 32


def imported(**changes: Any) -> list[dict[str, Any]]:
    return [{**IMPORTED[0], "key": {**IMPORTED[0]["key"], **changes}}]


def external(**changes: Any) -> list[dict[str, Any]]:
    (file_system,) = spec()["fileSystems"]
    return [{**file_system, "key": {**file_system["key"], **changes}}]


async def with_imported_key(**changes: Any) -> World:
    world = World().given(fileSystems=imported(**changes))
    material(world)
    await world.until_ready()
    world.vault.calls.clear()
    return world


def admitted(world: World, name: str = "imported") -> tuple[str, ...]:
    policy = world.vault.keys[name].release_policy
    assert policy is not None
    return policy.host_data


def change(world: World, name: str, changes: dict[str, Any]) -> None:
    """Change a key behind the operator's back."""
    world.vault.keys[name] = replace(world.vault.keys[name], **changes)


async def test_older_policies_of_an_external_key_stay_admitted() -> None:
    world = await settled()
    world.vault.add("contracts-key", build([OLDER, world.host_data()], [ATTESTATION]))
    await world.until_ready()
    assert admitted(world, "contracts-key") == (OLDER, world.host_data())
    assert world.vault.calls == []


@pytest.mark.parametrize("others", [[], [OLDER]], ids=["alone", "beside what the data owner admits"])
async def test_a_settled_look_reads_each_key_once(others: list[str]) -> None:
    external, imported = await settled(), await with_imported_key()
    for world, name in ((external, "contracts-key"), (imported, "imported")):
        change(world, name, {"release_policy": build([*others, world.host_data()], [ATTESTATION])})
        world.vault.reads.clear()
        assert (await world.visit()).result is Result.DONE
        assert world.vault.reads == [name]
        assert world.vault.calls == []


async def test_an_external_key_is_not_even_changed_where_its_tags_name_the_resource() -> None:
    """Tags are no consent: whoever may write them may have copied them."""
    theirs = await with_imported_key()
    world = await settled()
    policy = build([theirs.host_data(), world.host_data()], [ATTESTATION])
    world.vault.add("contracts-key", policy, tags=theirs.vault.keys["imported"].tags)
    await world.until_ready()
    assert world.vault.calls == []


@pytest.mark.parametrize("policy", ["Disable", "Delete"])
async def test_an_external_key_outlives_its_resource_whatever_the_deletion_policy(policy: str) -> None:
    owned = (await with_imported_key()).vault.keys["imported"]
    world = await settled(fileSystems=external(deletionPolicy=policy))
    world.vault.add("contracts-key", owned.release_policy, tags=owned.tags)
    world.delete()
    await world.until_removed()
    assert world.vault.calls == []


NEVER_RELEASED: dict[str, tuple[dict[str, Any], str]] = {
    "deleted": ({"deleted": True}, "is deleted"),
    "disabled": ({"enabled": False}, "is disabled: its owner has to enable it"),
    "without a release policy": ({"release_policy": None}, "import it again with `csum key import`"),
}


@pytest.mark.parametrize("state", NEVER_RELEASED)
@pytest.mark.parametrize("file_systems", [imported(), external()], ids=["Import", "External"])
async def test_a_key_that_cannot_come_out_is_named_and_neither_changed_nor_waited_for_by_a_group(
    file_systems: list[dict[str, Any]], state: str
) -> None:
    changes, message = NEVER_RELEASED[state]
    world = World().given(fileSystems=file_systems)
    await world.visit()
    name = file_systems[0]["key"]["name"]
    world.vault.add(name, build([world.host_data()], [ATTESTATION]))
    change(world, name, changes)
    assert (await world.visit()).result is Result.WAITING
    assert world.reason() == "KeyNotFound"
    assert message in world.condition("Ready")["message"]
    assert (world.groups.calls, world.vault.calls) == ([], [])


@pytest.mark.parametrize("state", NEVER_RELEASED)
async def test_a_key_that_cannot_come_out_is_not_changed_for_a_new_policy_either(state: str) -> None:
    changes, message = NEVER_RELEASED[state]
    world = await with_imported_key()
    change(world, "imported", changes)
    world.edit(fileSystems=imported(), summarizer={"maxWords": 50})
    await world.visit()
    assert world.reason() == "KeyNotFound"
    assert message in world.condition("Ready")["message"]
    assert world.vault.calls == []


@pytest.mark.parametrize("policy", ["Disable", "Delete"])
@pytest.mark.parametrize("changes", [None, {"deleted": True}, {"enabled": False}], ids=["gone", "deleted", "disabled"])
async def test_a_key_that_is_gone_already_does_not_hold_its_resource_up(
    policy: str, changes: dict[str, Any] | None
) -> None:
    world = await with_imported_key(deletionPolicy=policy)
    if changes is None:
        del world.vault.keys["imported"]
    else:
        change(world, "imported", changes)
    world.delete()
    await world.until_removed()
    disabled_before = changes == {"enabled": False}
    assert world.vault.calls == (["delete imported"] if disabled_before and policy == "Delete" else [])


def pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


ANOTHER_KIND = pem(ec.generate_private_key(ec.SECP256R1()))
LOCKED = pem(rsa.generate_private_key(65537, 2048), b"password")


@pytest.mark.parametrize(
    "content", [b"planted-secret", b"", ANOTHER_KIND, LOCKED], ids=["text", "nothing", "EC", "locked"]
)
async def test_a_secret_that_holds_no_rsa_key_is_refused_without_quoting_it(content: bytes) -> None:
    world = World().given(fileSystems=imported(type="RSA-HSM", derivation={"salt": "ab" * 32}))
    material(world, content)
    assert (await world.visit()).result is Result.STALLED
    assert world.reason() == "InvalidSpec"
    message = world.condition("Ready")["message"]
    assert "legal/material, key key holds no RSA key in PEM of 2048, 3072, 4096 bits" in message
    assert world.vault.calls == []
    for said in (str(world.resource["status"]), str(world.events)):
        assert not any(line in said for line in content.decode().splitlines() if line)


async def test_a_debug_profile_whose_policy_nobody_admitted_waits_for_approval() -> None:
    world = World().given(policy={"profile": "Debug"})
    world.vault.add("contracts-key", build([OLDER], [ATTESTATION]))
    await world.visit()
    assert world.reason() == "AwaitingApproval"
    assert world.groups.calls == []


async def test_a_bug_while_keys_are_looked_at_deploys_nothing() -> None:
    world = World().given()
    world.vault.error = ZeroDivisionError()
    await world.visit()
    assert world.reason("KeyReleasable") == "InternalError"
    assert world.groups.calls == []


async def changed_while_pages_answer(world: World, evidence: Any) -> str:
    """Change the policy, let groups of it come up and their pages answer with the evidence; return the old policy."""
    old = world.host_data()
    world.pages.evidence_for = evidence
    world.edit(fileSystems=imported(), summarizer={"maxWords": 50})
    for _ in range(3):
        await world.visit()
    return old


async def test_a_policy_is_admitted_for_the_service_that_the_spec_names_whatever_the_key_trusted_before() -> None:
    world = await with_imported_key()
    change(world, "imported", {"release_policy": build([OLDER], ["sharedweu.weu.attest.azure.net"])})
    await world.until_ready()
    policy = world.vault.keys["imported"].release_policy
    assert policy is not None
    assert policy.rules[-1] == build([world.host_data()], [ATTESTATION]).rules[0]


async def test_a_vault_that_does_not_show_at_once_what_was_written_is_asked_again_and_suspected_of_nothing() -> None:
    world = await with_imported_key()
    before, written = world.vault.keys["imported"], world.vault.update_release_policy

    async def behind(name: str, policy: ReleasePolicy, **given: Any) -> VaultKey:
        world.vault.get = before_that  # type: ignore[method-assign]
        return await written(name, policy, **given)

    async def before_that(_: str) -> VaultKey:
        del world.vault.get
        return before

    world.vault.update_release_policy = behind  # type: ignore[method-assign]
    world.edit(fileSystems=imported(), image="party1.azurecr.io/summarizer@sha256:" + "2" * 64)
    assert (await world.visit()).result is Result.RETRY
    assert world.reason("KeyReleasable") == "ServiceUnavailable"
    await world.until_ready()


async def test_a_key_without_room_for_another_tag_says_so_instead_of_being_written() -> None:
    world = await with_imported_key()
    owner, *_ = world.vault.keys["imported"].tags.items()
    others = {f"csum-owner-{i}": "legal/gone" for i in range(14)}
    change(world, "imported", {"tags": dict([owner], **others)})
    world.edit(fileSystems=imported(), image="party1.azurecr.io/summarizer@sha256:" + "2" * 64)
    await world.visit()
    ready = world.condition("Ready")
    assert ready is not None
    assert "has 15 tags, and a vault keeps 15 at most: take away csum-owner-UID" in ready["message"]
    assert world.vault.calls == []


def test_what_is_remembered_in_tags_is_the_latest_policies_as_far_as_a_vault_keeps_them() -> None:
    owner = Owner(Metadata(name="contracts", namespace="legal", uid="uid-1"), "")
    hashes = [f"{number:064x}"[::-1] for number in range(40)]
    tags = first_tags(owner, hashes)
    assert all(len(text) <= 256 for pair in tags.items() for text in pair)
    key = VaultKey("id", "k", "oct-HSM", exportable=True, release_policy=build(hashes, [ATTESTATION]), tags=tags)
    assert added(key, owner) == hashes[-15:]


async def retiring(meanwhile: Callable[[World, str], None]) -> World:
    """Return a world in which the policy changed, and in which something happened while the new groups came up."""
    world = await with_imported_key()
    old = world.host_data()
    attested = world.pages.evidence_for

    def answer(nonce: str) -> Any:
        meanwhile(world, old)
        return attested(nonce)

    world.vault.calls.clear()
    await changed_while_pages_answer(world, answer)
    assert world.reason() == "Ready"
    return world


def shown(world: World) -> list[str]:
    """Return what the status says that the key admits."""
    (key,) = world.resource["status"]["trust"]["keys"]
    return list(key["admits"])


async def test_a_policy_that_was_retired_is_neither_admitted_nor_remembered() -> None:
    world = await retiring(lambda _world, _old: None)
    assert admitted(world) == tuple(shown(world)) == (world.host_data(),)
    assert world.vault.keys["imported"].tags["csum-added-uid-1"] == world.host_data()[:16]
    assert world.vault.calls == ["update imported", "update imported"]


async def test_a_key_that_somebody_else_settled_during_the_rollout_is_not_written_again() -> None:
    def settle(world: World, _old: str) -> None:
        change(world, "imported", {"release_policy": build([world.host_data()], [ATTESTATION])})

    world = await retiring(settle)
    assert shown(world) == [world.host_data()]
    assert world.vault.calls == ["update imported"]


async def test_a_key_that_went_away_during_the_rollout_is_imported_again_for_the_new_policy() -> None:
    world = await retiring(lambda world, _old: world.vault.keys.clear())
    assert world.vault.calls == ["update imported", "import imported"]
    assert admitted(world) == (world.host_data(),)
    assert "InternalError" not in str(world.events)


async def test_a_key_that_was_taken_away_from_the_resource_is_not_written_after_the_rollout_either() -> None:
    def take_away(world: World, _old: str) -> None:
        tags = world.vault.keys["imported"].tags
        change(world, "imported", {"tags": {tag: tags[tag] for tag in tags if not tag.startswith("csum-owner-")}})

    world = await retiring(take_away)
    assert world.vault.calls == ["update imported"]


async def test_refused_evidence_keeps_the_policy_that_works_admitted() -> None:
    world = await with_imported_key()
    old = await changed_while_pages_answer(world, lambda nonce: ATTESTED.evidence(nonce, OLDER))
    assert world.reason() == "EvidenceRefused"
    assert set(admitted(world)) == {old, world.host_data()}


async def test_a_page_without_evidence_is_waited_for_and_retires_nothing() -> None:
    world = await with_imported_key()
    old = await changed_while_pages_answer(world, None)
    assert world.reason("Attested") == "Progressing"
    assert "group-0 has no evidence yet" in world.condition("Attested")["message"]
    assert world.condition("Reconciling")["status"] == "True"
    assert set(admitted(world)) == {old, world.host_data()}


async def test_evidence_of_the_policy_before_says_nothing_of_the_new_one() -> None:
    world = await with_imported_key()
    before = world.pages.evidence_for
    world.pages.asked.clear()
    world.now = NOW + timedelta(minutes=1)
    await changed_while_pages_answer(world, before)
    assert world.pages.asked == ["10.0.0.1:8501"]
    (group,) = world.resource["status"]["trust"]["attestation"]["groups"]
    assert group["hostData"] == world.host_data()


@pytest.mark.parametrize("phase", [GroupPhase.STARTING, GroupPhase.RUNNING, GroupPhase.FAILED, GroupPhase.DENIED])
async def test_no_policy_is_retired_before_every_group_is_ready(phase: GroupPhase) -> None:
    world = await with_imported_key()
    world.groups.phase = phase
    old = await changed_while_pages_answer(world, world.pages.evidence_for)
    assert set(admitted(world)) == {old, world.host_data()}
