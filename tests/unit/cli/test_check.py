"""`csum check`: everything that is missing, in one answer, before and after the resource is applied."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
import yaml

from confidential_summarizer.api.file_systems import FileSystem
from confidential_summarizer.api.grant import SummarizerGrant
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.blobs import BlobState
from confidential_summarizer.azure.role_assignments import Held
from confidential_summarizer.cli import check as command
from confidential_summarizer.cli.check.questions import ask
from confidential_summarizer.cli.check.world import Verdict, World
from confidential_summarizer.errors import AccessDenied, ImageError, NotFound, TransientError
from confidential_summarizer.reconcile.authorization import authorize
from confidential_summarizer.reconcile.grants import grant_manifest
from confidential_summarizer.release import build
from confidential_summarizer.sealing.luks_header import LARGEST_HEADER
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.target import Derivation
from tests.support.data_owner import csum
from tests.support.fakes import FakeKube, FakeVault, measured
from tests.support.resources import ATTESTATION, IMAGE, VAULT, document, resource

pytestmark = pytest.mark.needs("mke2fs", "cryptsetup")

PINNED = "5f" * 32
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


@dataclass
class FakeBlob:
    """A blob that holds a sealed image, or what else it is given."""

    content: bytes
    pin: str | None = None
    there: bool = True

    async def state(self) -> BlobState | None:
        size = len(self.content)
        known = BlobState("u", size, sha256=None, content_sha256=self.pin, etag="e", modified=datetime.now(UTC))
        return known if self.there else None

    async def head(self, length: int) -> bytes:
        return self.content[:length]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "documents").mkdir()
    (folder / "documents" / "a.txt").write_text("text")
    assert csum("seal", folder / "documents", "--out", folder / "image", "--key", folder / "key").code == 0
    with (folder / "image").open("rb") as image:
        return image.read(LARGEST_HEADER)


@dataclass
class Place:
    """A cluster, a vault, a registry and a blob, in which everything is there."""

    blob: FakeBlob
    kube: FakeKube | None = field(default_factory=FakeKube)
    vault: FakeVault = field(default_factory=FakeVault)
    broken_registry: Exception | None = None
    broken_vault: Exception | None = None
    given: frozenset[str] | None = frozenset({BLOB_READER})

    def __post_init__(self) -> None:
        assert self.kube is not None
        self.kube.put({"kind": "Namespace", "metadata": {"name": "legal", "namespace": "legal", "uid": "n"}})

    async def derive(self, wanted: ConfidentialSummarizer, token_sha256: str | None) -> Derivation:
        if self.broken_registry is not None:
            raise self.broken_registry
        references = {"summarizer": IMAGE, "encrypted-file-systems": IMAGE, "key-release": IMAGE}
        return derive(wanted, {k: measured(v) for k, v in references.items()}, token_sha256=token_sha256)

    async def approve(self, wanted: ConfidentialSummarizer) -> None:
        derivation = await self.derive(wanted, None)
        self.vault.add("contracts-key", build([derivation.policy.host_data], [ATTESTATION]))

    @asynccontextmanager
    async def open_vault(self, host: str) -> AsyncIterator[FakeVault]:
        if self.broken_vault is not None:
            raise self.broken_vault
        assert host == VAULT
        yield self.vault

    @asynccontextmanager
    async def open_blob(self, _: FileSystem) -> AsyncIterator[FakeBlob]:
        yield self.blob

    @asynccontextmanager
    async def open_groups(self, _: str) -> AsyncIterator["Place"]:
        yield self

    @asynccontextmanager
    async def open_roles(self, _: str) -> AsyncIterator["Place"]:
        yield self

    async def on_container(self, identity: str, account: str, container: str) -> Held:
        if self.given is None:
            raise NotFound(f"no storage account {account}")
        return Held("principal", f"/scope/{account}/{container}", self.given)

    async def on_registry(self, identity: str, host: str) -> Held:
        return await self.on_container(identity, host, "registry")

    async def list(self, resource_group: str) -> list[Any]:
        if resource_group != "rg":
            raise NotFound(f"resource group {resource_group} is not there")
        return []

    async def usages(self, location: str) -> dict[str, tuple[float, float]]:
        return {"ContainerGroups": (99, 100), "ConfidentialCores": (90, 100), "OtherCores": (5, 5)}

    async def rows(self, wanted: ConfidentialSummarizer) -> dict[str, tuple[Verdict, str]]:
        world = World(self.kube, self.derive, self.open_vault, self.open_blob, self.open_groups, self.open_roles)
        found, _ = await ask(world, wanted)
        return {row.what: (row.verdict, row.detail) for row in found}


@pytest.fixture
def place(sealed: bytes) -> Place:
    return Place(FakeBlob(sealed))


KEY = f"key contracts-key in {VAULT}"
POLICY, BLOB = "images and policy", "blob of documents"
READER, CONTRIBUTOR = "Storage Blob Data Reader on party2/sealed", "Storage Blob Data Contributor on party2/results"


async def test_where_all_is_there_all_is_ok(place: Place) -> None:
    await place.approve(resource())
    rows = await place.rows(resource())
    assert list(rows) == ["grants", POLICY, KEY, BLOB, READER]
    assert {verdict for verdict, _ in rows.values()} == {Verdict.OK}


async def test_every_mistake_is_in_one_answer(place: Place) -> None:
    assert place.kube is not None
    del place.kube.objects["SummarizerGrant", "", "all"]
    place.blob = FakeBlob(b"no image")
    given = resource(registryCredentials={"secretRef": {"name": "acr"}})
    rows = await place.rows(given)
    assert rows[KEY] == (Verdict.MISSING, rows[KEY][1])
    assert "csum key import contracts-key" in rows[KEY][1]
    assert "no LUKS image" in rows[BLOB][1]
    assert "create secret docker-registry acr" in rows["Secret acr"][1]
    refused = [what for what, (verdict, _) in rows.items() if verdict is Verdict.MISSING]
    assert {"registry party1.azurecr.io", "Secret acr", KEY, BLOB} <= set(refused)


async def test_a_namespace_that_does_not_exist_yet_is_named(place: Place) -> None:
    assert place.kube is not None
    place.kube.objects.clear()
    rows = await place.rows(resource())
    assert rows["namespace legal"] == (
        Verdict.MISSING,
        "the namespace does not exist: `kubectl create namespace legal`",
    )


async def test_what_is_missing_is_a_grant_that_can_be_applied(place: Place) -> None:
    assert place.kube is not None
    del place.kube.objects["SummarizerGrant", "", "all"]
    _, missing = await ask(
        World(place.kube, place.derive, place.open_vault, place.open_blob, place.open_groups, place.open_roles),
        resource(),
    )
    made = SummarizerGrant.parse(yaml.safe_load(yaml.safe_dump(grant_manifest("legal", missing))))
    assert authorize(resource().spec, "legal", {}, [made]) == ()


async def test_without_a_cluster_the_rest_is_looked_at_all_the_same(place: Place) -> None:
    await place.approve(resource())
    place.kube = None
    rows = await place.rows(resource())
    assert rows["grants"][0] is Verdict.UNKNOWN
    assert rows[KEY][0] is rows[BLOB][0] is Verdict.OK


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(ImageError("no such image"), Verdict.MISSING), (TransientError("away"), Verdict.UNKNOWN), (AccessDenied("log in"), Verdict.UNKNOWN)],
)  # fmt: skip
async def test_a_registry_that_fails_leaves_the_keys_to_be_looked_at(
    place: Place, error: Exception, verdict: Verdict
) -> None:
    await place.approve(resource())
    place.broken_registry = error
    rows = await place.rows(resource())
    assert rows[POLICY] == (verdict, str(error))
    assert rows[KEY][0] is Verdict.UNKNOWN


async def test_a_vault_that_does_not_answer_is_not_known(place: Place) -> None:
    place.broken_vault = TransientError("the vault is away")
    assert (await place.rows(resource()))[KEY] == (Verdict.UNKNOWN, "the vault is away")


async def test_a_key_that_does_not_admit_the_policy_comes_with_the_command(place: Place) -> None:
    place.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]))
    verdict, detail = (await place.rows(resource()))[KEY]
    assert verdict is Verdict.MISSING
    assert "csum key approve legal/contracts --expect-host-data" in detail


def imported() -> dict[str, Any]:
    file_systems = document()["spec"]["fileSystems"]
    file_systems[0]["key"] |= {"management": "Import", "secretRef": {"name": "material", "key": "key"}}
    return {"fileSystems": file_systems}


async def test_a_key_to_be_imported_needs_its_secret_and_the_label(place: Place) -> None:
    given = resource(**imported())
    rows = await place.rows(given)
    assert rows[KEY] == (Verdict.OK, "not there yet: the operator imports it from Secret material")
    assert "create secret generic material --from-file=key=FILE" in rows["Secret material"][1]
    assert place.kube is not None
    secret = {"kind": "Secret", "metadata": {"name": "material", "namespace": "legal"}, "data": {"key": "YQ=="}}
    place.kube.put(secret)
    assert (
        "label secret material confidential.summarizer.dev/use=key" in (await place.rows(given))["Secret material"][1]
    )
    secret["metadata"]["labels"] = {"confidential.summarizer.dev/use": "key"}  # type: ignore[index]
    place.kube.put(secret)
    assert (await place.rows(given))["Secret material"][0] is Verdict.OK


@pytest.mark.parametrize(
    ("tags", "verdict"), [({}, Verdict.MISSING), ({"csum-owner-uid-1": "legal/contracts"}, Verdict.OK)]
)
async def test_an_imported_key_is_amended_for_its_own_resource_alone(
    place: Place, tags: dict[str, str], verdict: Verdict
) -> None:
    place.vault.add("contracts-key", build(["ab" * 32], [ATTESTATION]), tags=tags)
    found = (await place.rows(resource(**imported())))[KEY]
    assert found[0] is verdict
    assert ("was not imported for legal/contracts" in found[1]) is (verdict is Verdict.MISSING)


async def test_the_readers_token_is_part_of_the_policy_that_keys_are_held_against(place: Place) -> None:
    given = resource(access={"tokenSecretRef": {"name": "readers", "key": "token"}})
    assert (await place.rows(given))[POLICY][0] is Verdict.UNKNOWN
    assert place.kube is not None
    token = b"t" * 40
    place.kube.put(
        {
            "kind": "Secret",
            "metadata": {
                "name": "readers",
                "namespace": "legal",
                "labels": {"confidential.summarizer.dev/use": "token"},
            },
            "data": {"token": base64.b64encode(token + b"\n").decode()},
        }
    )
    expected = await place.derive(given, hashlib.sha256(token).hexdigest())
    assert (await place.rows(given))[POLICY] == (Verdict.OK, f"host-data {expected.policy.host_data}")


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (FakeBlob(b"", there=False), "csum push IMAGE"),
        (FakeBlob(b"LUKS\xba\xbe" + bytes(5000)), "LUKS version 0"),
    ],
)
async def test_a_blob_that_the_sidecar_could_not_open_is_said_before_anything_runs(
    place: Place, blob: FakeBlob, message: str
) -> None:
    place.blob = blob
    verdict, detail = (await place.rows(resource()))[BLOB]
    assert verdict is Verdict.MISSING
    assert message in detail


async def test_a_blob_of_other_content_than_the_resource_pins_is_said(place: Place, sealed: bytes) -> None:
    file_systems = document()["spec"]["fileSystems"]
    file_systems[0]["contentSHA256"] = PINNED
    place.blob = FakeBlob(sealed, pin="00" * 32)
    verdict, detail = (await place.rows(resource(fileSystems=file_systems)))[BLOB]
    assert (verdict, PINNED in detail) == (Verdict.MISSING, True)


def public_group(name: str) -> dict[str, Any]:
    """What a resource says whose groups run in this resource group."""
    group = {"subscriptionID": "0" * 36, "resourceGroup": name, "location": "westeurope"}
    return {
        "target": {"containerGroup": group},
        "access": {"exposure": "Public", "tokenSHA256": "ab" * 32},
    }


@pytest.mark.parametrize(
    ("group", "replicas", "running", "message"),
    [
        ("rg", 1, 0, "its quota has room"),
        ("rg", 2, 0, "ContainerGroups: 99 of 100 are used, and 2 more are needed"),
        ("rg", 3, 2, "its quota has room"),
        ("elsewhere", 1, 0, "resource group elsewhere is not there"),
    ],
)
async def test_room_is_looked_for_where_groups_are_made(
    place: Place, group: str, replicas: int, running: int, message: str
) -> None:
    status = {"observedGeneration": 1, "replicas": running}
    rows = await place.rows(resource(**public_group(group), replicas=replicas, status=status))
    assert message in rows["room in westeurope"][1]


async def test_a_role_that_the_identity_lacks_comes_with_the_command_that_gives_it(place: Place) -> None:
    file_systems = document()["spec"]["fileSystems"]
    file_systems[0]["contentSHA256"] = PINNED
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    prefix = "https://party2.blob.core.windows.net/results/contracts/"
    file_systems[0]["output"] = {"blobPrefix": prefix, "recipient": recipient}
    rows = await place.rows(resource(fileSystems=file_systems))
    assert rows[READER][0] is Verdict.OK
    verdict, detail = rows[CONTRIBUTOR]
    assert verdict is Verdict.MISSING
    assert '--role "Storage Blob Data Contributor" --assignee-object-id principal' in detail
    assert detail.endswith("--scope /scope/party2/results`")


@pytest.mark.parametrize(("given", "verdict"), [({ACR_PULL}, Verdict.OK), ({BLOB_READER}, Verdict.MISSING)])
async def test_an_identity_that_pulls_needs_the_role_for_it(place: Place, given: set[str], verdict: Verdict) -> None:
    place.given = frozenset(given)
    identity = resource().spec.identity.resource_id
    rows = await place.rows(resource(**public_group("rg"), registryCredentials={"identity": identity}))
    assert rows["AcrPull on party1.azurecr.io"][0] is verdict


async def test_roles_that_nobody_shows_are_not_known(place: Place) -> None:
    place.given = None
    assert (await place.rows(resource()))[READER][0] is Verdict.UNKNOWN


async def test_a_resource_in_the_cluster_says_itself_where_it_stands(place: Place) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "RollingOut", "message": "0 of 1 ready", "lastTransitionTime": "2026-11-24T12:00:00Z", "observedGeneration": 1}  # fmt: skip
    rows = await place.rows(resource(status={"observedGeneration": 1, "conditions": [condition]}))
    assert rows["status"] == (Verdict.MISSING, "RollingOut: 0 of 1 ready")


@pytest.mark.parametrize(("grants", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_anything_is_missing(
    place: Place, grants: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.vault.add("contracts-key", None)

    async def derive_and_approve(wanted: ConfidentialSummarizer, token: str | None) -> Derivation:
        await place.approve(wanted)
        return await place.derive(wanted, token)

    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        yield World(
            place.kube, derive_and_approve, place.open_vault, place.open_blob, place.open_groups, place.open_roles
        )

    monkeypatch.setattr(command, "_world", world)
    if not grants:
        assert place.kube is not None
        del place.kube.objects["SummarizerGrant", "", "all"]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(document()))
    result = csum("check", tmp_path / "r.yaml")
    assert result.code == code, result.err
    assert ("kind: SummarizerGrant" in result.err) is not grants
    assert "WHAT TO DO" in result.out
