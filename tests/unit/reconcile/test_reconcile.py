"""State in, reconcile, state out: what the operator does with a resource, and what its status says."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import ImageError, TransientError
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.patience import RESYNC_SECONDS, STALLED_SECONDS, WAITING_SECONDS
from confidential_summarizer.reconcile.run import Reconciler, Result, Visit
from confidential_summarizer.release import build
from confidential_summarizer.targets.observation import GroupPhase
from tests.support.attested import Attested
from tests.support.fakes import FakeKube, FakePages, FakeRegistry, FakeSigningKeys, FakeTarget, FakeVault, everywhere
from tests.support.resources import ATTESTATION, VAULT, document

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ATTESTED = Attested(NOW)


@dataclass
class World:
    """A cluster with one resource, a vault, a registry and groups."""

    kube: FakeKube = field(default_factory=FakeKube)
    vault: FakeVault = field(default_factory=FakeVault)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    groups: FakeTarget = field(default_factory=FakeTarget)
    pages: FakePages = field(default_factory=FakePages)
    signing_keys: FakeSigningKeys = field(default_factory=lambda: FakeSigningKeys(ATTESTED.keys))
    events: list[tuple[bool, str, str]] = field(default_factory=list)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.pages.evidence_for = lambda nonce: ATTESTED.evidence(
            nonce, self.groups.deployed.derivation.policy.host_data
        )

    def given(self, **changes: Any) -> "World":
        self.kube.put(document(**changes))
        return self

    def approved(self) -> "World":
        """Let the data owner admit exactly the policy that the operator will derive."""
        self.vault.add("contracts-key", build([self.host_data()], [ATTESTATION]))
        return self

    def host_data(self) -> str:
        """Return what the operator derives; a first look at it is how the data owner would find out."""
        return self.resource["status"]["trust"]["hostData"]

    @property
    def resource(self) -> Mapping[str, Any]:
        return self.kube.objects["ConfidentialSummarizer", "legal", "contracts"]

    def edit(self, **changes: Any) -> None:
        """Change the spec as a person would: the API server counts the generation up."""
        current = self.resource
        generation = current["metadata"]["generation"] + 1
        self.kube.put(document(status=current["status"], generation=generation, **changes))

    def reconciler(self) -> Reconciler:
        clients = Clients(
            self.kube,
            self.registry.with_pull_secret,
            self.vault.at,
            everywhere(self.groups),
            self.pages,
            self.signing_keys,
        )
        return Reconciler(clients, self._record, lambda: self.now)

    async def visit(self) -> Visit:
        return await self.reconciler().visit("legal", "contracts")

    async def reconcile(self) -> float | None:
        return (await self.visit()).wait

    async def until_ready(self) -> None:
        """Look again until nothing is left to do; the fakes need two looks to come up."""
        for _ in range(4):
            if (await self.visit()).result is Result.DONE:
                return
        raise AssertionError(self.condition("Ready"))

    def annotate(self, **values: str) -> None:
        """Set annotations of ours; the API server does not count the generation up."""
        annotations = {f"confidential.summarizer.dev/{name}": value for name, value in values.items()}
        self.resource["metadata"]["annotations"] = annotations

    def delete(self) -> None:
        """Delete the resource as a person would: its finalizer keeps it for now."""
        self.resource["metadata"]["deletionTimestamp"] = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        self.resource["metadata"]["generation"] += 1

    async def removed(self) -> bool:
        """Look at the resource once, and tell whether it is gone."""
        return (await self.visit()).result is Result.GONE

    async def until_removed(self) -> None:
        """Look at the resource until it is gone; the fakes need two looks."""
        for _ in range(4):
            if await self.removed():
                return
        raise AssertionError(self.condition("Ready"))

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        return next((c for c in self.resource["status"]["conditions"] if c["type"] == kind), None)

    def reason(self, kind: str = "Ready") -> str | None:
        found = self.condition(kind)
        return found["reason"] if found else None

    async def _record(self, resource: Mapping[str, Any], *, normal: bool, reason: str, message: str) -> None:
        self.events.append((normal, reason, message))


async def settled(**changes: Any) -> World:
    """Return a world in which everything is done."""
    world = World().given(**changes)
    await world.reconcile()
    world.approved()
    await world.until_ready()
    return world


async def test_without_a_key_it_waits_for_the_data_owner_and_deploys_nothing() -> None:
    world = World().given()
    assert await world.reconcile() == WAITING_SECONDS[0]
    assert world.reason() == "KeyNotFound"
    assert (
        f"does not exist: the data owner has to run `csum key import contracts-key --key FILE --vault {VAULT} "
        "--attestation HOST --for legal/contracts`"
    ) in world.condition("Ready")["message"]
    assert world.condition("Reconciling")["status"] == "True"
    assert world.condition("Stalled") is None
    assert world.groups.calls == []


async def test_a_key_that_admits_the_policy_leads_to_ready() -> None:
    world = await settled()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Reconciling") is None
    assert [c["type"] for c in world.resource["status"]["conditions"]] == [
        "Ready", "ImagesResolved", "PolicyGenerated", "KeyReleasable", "Deployed", "Attested",
    ]  # fmt: skip
    status = world.resource["status"]
    assert status["endpoint"] == "https://10.0.0.1:8501"
    assert status["policy"] == status["trust"]["hostData"][:12]
    assert status["trust"]["keys"][0]["admits"] == [world.host_data()]
    assert all(c["observedGeneration"] == 1 for c in status["conditions"])


async def test_a_second_reconcile_of_a_settled_resource_writes_nothing_anywhere() -> None:
    world = await settled()
    world.kube.writes.clear()
    world.vault.calls.clear()
    world.groups.calls.clear()
    world.events.clear()
    assert await world.reconcile() == RESYNC_SECONDS
    assert (world.kube.writes, world.vault.calls, world.groups.calls, world.events) == ([], [], [], [])


async def test_a_key_that_admits_another_policy_waits_for_approval_with_the_command() -> None:
    world = World().given()
    world.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]))
    await world.reconcile()
    assert world.reason() == "AwaitingApproval"
    assert (
        f"csum key approve legal/contracts --expect-host-data {world.host_data()}"
        in world.condition("Ready")["message"]
    )
    assert (False, "AwaitingApproval") in [(normal, reason) for normal, reason, _ in world.events]
    assert world.groups.calls == []


async def test_a_debug_profile_never_gets_a_key_for_groups_that_cannot_be_debugged() -> None:
    world = World().given(policy={"profile": "Debug"})
    await world.reconcile()
    world.approved()
    await world.reconcile()
    assert world.reason() == "DebugProfileRefused"
    assert world.groups.calls == []


async def test_the_operator_never_changes_the_policy_of_an_external_key() -> None:
    world = World().given()
    world.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]))
    await world.reconcile()
    assert world.vault.calls == []


IMPORTED = [
    {
        "name": "documents",
        "role": "Documents",
        "blobURL": "https://party2.blob.core.windows.net/sealed/contracts.img",
        "key": {
            "name": "imported",
            "vault": VAULT,
            "attestation": ATTESTATION,
            "management": "Import",
            "secretRef": {"name": "material", "key": "key"},
        },
    }
]


def material(world: World, content: bytes = b"k" * 32) -> None:
    data = {"key": base64.b64encode(content).decode()}
    meta = {"name": "material", "namespace": "legal", "labels": {USE_LABEL: "key"}}
    world.kube.put({"kind": "Secret", "metadata": meta, "data": data})


async def test_an_import_key_is_imported_for_exactly_the_derived_policy() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world)
    await world.until_ready()
    assert world.vault.material["imported"] == b"k" * 32
    assert world.vault.keys["imported"].release_policy.host_data == (world.host_data(),)


async def test_an_import_key_needs_its_secret_only_once() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world)
    await world.reconcile()
    del world.kube.objects["Secret", "legal", "material"]
    await world.reconcile()
    assert world.reason() == "Ready"


async def test_a_missing_secret_is_named() -> None:
    world = World().given(fileSystems=IMPORTED)
    await world.reconcile()
    assert world.reason() == "SecretNotFound"
    assert "legal/material" in world.condition("Ready")["message"]


async def test_key_material_of_the_wrong_length_is_refused_without_quoting_it() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world, b"planted-secret")
    assert await world.reconcile() == STALLED_SECONDS
    assert world.reason() == "InvalidSpec"
    assert world.condition("Stalled")["status"] == "True"
    assert "holds 14 bytes, but an oct-HSM key has 32" in world.condition("Ready")["message"]
    assert "planted" not in str(world.resource)
    assert "planted" not in str(world.events)


async def test_an_rsa_key_is_imported_from_its_pem() -> None:
    key = {**IMPORTED[0]["key"], "type": "RSA-HSM", "derivation": {"salt": "ab" * 32}}
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    world = World().given(fileSystems=[{**IMPORTED[0], "key": key}])
    material(world, pem)
    await world.until_ready()
    assert world.vault.material["imported"].private_numbers() == private.private_numbers()


async def test_a_new_policy_is_admitted_before_the_rollout_and_the_old_one_retired_after_it() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world)
    await world.reconcile()
    old = world.host_data()
    world.groups.phase = GroupPhase.STARTING
    world.edit(fileSystems=IMPORTED, summarizer={"maxWords": 50})
    await world.reconcile()
    new = world.host_data()
    assert new != old
    assert set(world.vault.keys["imported"].release_policy.host_data) == {old, new}
    assert world.reason() == "RollingOut"
    world.groups.phase = GroupPhase.READY
    await world.reconcile()
    assert world.vault.keys["imported"].release_policy.host_data == (new,)
    assert world.reason() == "Ready"


async def test_a_failed_rollout_keeps_the_old_policy_admitted() -> None:
    world = World().given(fileSystems=IMPORTED)
    material(world)
    await world.reconcile()
    old = world.host_data()
    world.groups.phase, world.groups.message = GroupPhase.DENIED, "deviceHash not found"
    world.edit(fileSystems=IMPORTED, summarizer={"maxWords": 50})
    await world.reconcile()
    assert old in world.vault.keys["imported"].release_policy.host_data


async def test_a_denied_group_stalls_with_the_decoded_reason() -> None:
    world = await settled()
    world.groups.phase, world.groups.message = GroupPhase.DENIED, "deviceHash not found: another image"
    world.events.clear()
    await world.reconcile()
    assert world.reason() == "PolicyDenied"
    assert "deviceHash not found" in world.condition("Deployed")["message"]
    assert world.condition("Stalled")["reason"] == "PolicyDenied"
    assert (False, "PolicyDenied") in [(normal, reason) for normal, reason, _ in world.events]


async def test_drift_is_put_back_and_said() -> None:
    world = await settled()
    world.groups.changed = ["spec.template.spec.containers[summarizer].env[X]"]
    world.groups.calls.clear()
    await world.reconcile()
    assert world.groups.calls == [f"deploy {world.host_data()[:8]}"]
    assert world.reason() == "Ready"
    assert world.reason("Drifted") == "Corrected"
    await world.reconcile()
    assert world.condition("Drifted") is None


async def test_drift_is_only_reported_where_that_is_the_policy() -> None:
    world = await settled(driftPolicy="Report")
    world.groups.changed = ["spec.replicas"]
    world.groups.calls.clear()
    await world.reconcile()
    assert world.groups.calls == []
    assert world.reason("Drifted") == "ModifiedOutside"


def digest(world: World) -> str:
    """Return what the summarizer's image is pinned to."""
    return str(world.resource["status"]["trust"]["images"][0]["digest"])


async def test_a_tag_stays_what_it_was_through_scaling_and_an_outage_of_the_registry() -> None:
    world = await settled(image="party1.azurecr.io/summarizer:v1")
    first, world.registry.layer = digest(world), "2"
    world.edit(image="party1.azurecr.io/summarizer:v1", replicas=2)
    await world.until_ready()
    assert digest(world) == first
    world.registry.error = TransientError("the registry answers 503")
    await world.reconcile()
    world.registry.error = None
    await world.until_ready()
    assert digest(world) == first


async def test_a_tag_is_resolved_anew_once_for_each_time_that_somebody_asks() -> None:
    world = await settled(image="party1.azurecr.io/summarizer:v1")
    first, world.registry.layer = digest(world), "2"
    world.annotate(resolve="2026-11-24T12:00:00Z")
    await world.reconcile()
    second = digest(world)
    assert second != first
    assert world.resource["status"]["lastHandledResolveAt"] == "2026-11-24T12:00:00Z"
    world.registry.layer = "3"
    await world.reconcile()
    assert digest(world) == second


async def test_another_reference_is_resolved_and_the_other_images_stay() -> None:
    world = await settled(image="party1.azurecr.io/summarizer:v1")
    before = [image["digest"] for image in world.resource["status"]["trust"]["images"]]
    world.registry.layer = "2"
    world.edit(image="party1.azurecr.io/summarizer:v2")
    await world.reconcile()
    after = [image["digest"] for image in world.resource["status"]["trust"]["images"]]
    assert after[0] != before[0]
    assert after[1:] == before[1:]


async def test_evidence_of_another_policy_is_refused_by_name_of_the_claim() -> None:
    world = World().given()
    await world.reconcile()
    world.approved()
    world.pages.evidence_for = lambda nonce: ATTESTED.evidence(nonce, "cd" * 32)
    await world.reconcile()
    await world.reconcile()
    assert world.reason() == "EvidenceRefused"
    assert "Host-data" in world.condition("Attested")["message"]


async def test_evidence_of_another_connection_is_refused() -> None:
    """Somebody at the group's address passes on its evidence."""
    world = World().given()
    await world.reconcile()
    world.approved()
    world.pages.peer = "dd" * 32
    await world.reconcile()
    await world.reconcile()
    assert world.reason() == "EvidenceRefused"
    assert "somebody stands between" in world.condition("Attested")["message"]


async def test_evidence_counts_for_an_hour_and_is_then_asked_for_again() -> None:
    world = await settled()
    world.pages.evidence_for = lambda nonce: ATTESTED.evidence(nonce, "cd" * 32)
    world.now = NOW + timedelta(minutes=59)
    await world.reconcile()
    assert world.reason("Attested") == "Verified"
    world.now = NOW + timedelta(minutes=61)
    await world.reconcile()
    assert world.reason("Attested") == "EvidenceRefused"


async def test_an_image_that_cannot_be_used_stalls_with_its_own_words() -> None:
    world = World().given()

    world.registry.error = ImageError("party1/x does not exist: push it")
    assert await world.reconcile() == STALLED_SECONDS
    assert world.reason() == "ImageUnusable"
    assert world.condition("Stalled") is not None


async def test_a_service_that_cannot_answer_is_tried_again_when_it_asked_to() -> None:
    world = World().given()

    world.registry.error = TransientError("the registry answers 503", retry_after=7.0)
    assert await world.reconcile() == 7.0
    assert world.reason() == "ServiceUnavailable"
    assert world.condition("Stalled") is None


async def test_a_bug_in_a_phase_is_said_and_does_not_end_the_loop() -> None:
    world = World().given()

    world.registry.error = ZeroDivisionError()
    assert await world.reconcile() == WAITING_SECONDS[0]
    assert world.reason() == "InternalError"


async def test_scaled_to_zero_is_ready_without_groups() -> None:
    world = World().given(replicas=0)
    await world.reconcile()
    world.approved()
    await world.reconcile()
    assert world.condition("Ready")["status"] == "True"
    assert world.reason() == "ScaledToZero"


async def test_a_spec_that_no_longer_parses_is_stalled_not_dropped() -> None:
    world = World()
    broken = document()
    broken["spec"]["target"] = {}
    world.kube.put(broken)
    assert await world.reconcile() == STALLED_SECONDS
    assert world.reason("Stalled") == "InvalidSpec"
    world.kube.writes.clear()
    await world.reconcile()
    assert world.kube.writes == []


async def test_deletion_waits_until_no_group_is_left() -> None:
    world = await settled()
    world.delete()
    assert not await world.removed()
    assert world.reason() == "Deleting"
    assert "group-0 left: it is going away" in world.condition("Ready")["message"]
    assert await world.removed()
    assert ("ConfidentialSummarizer", "legal", "contracts") not in world.kube.objects


@pytest.mark.parametrize(
    ("policy", "call"), [("Retain", None), ("Disable", "disable imported"), ("Delete", "delete imported")]
)
async def test_an_imported_key_is_treated_as_its_deletion_policy_says(policy: str, call: str | None) -> None:
    file_system = {**IMPORTED[0], "key": {**IMPORTED[0]["key"], "deletionPolicy": policy}}
    world = World().given(fileSystems=[file_system])
    material(world)
    await world.reconcile()
    world.vault.calls.clear()
    world.delete()
    await world.until_removed()
    assert world.vault.calls == ([call] if call else [])


async def test_an_external_key_is_never_touched_by_deletion() -> None:
    world = await settled()
    world.vault.calls.clear()
    world.delete()
    await world.until_removed()
    assert world.vault.calls == []


async def test_a_resource_that_is_gone_ends_the_loop() -> None:
    assert await World().reconcile() is None


async def test_every_status_that_the_operator_writes_parses_again() -> None:
    world = await settled()
    parsed = ConfidentialSummarizer.parse(world.resource)
    assert parsed.status.trust is not None
