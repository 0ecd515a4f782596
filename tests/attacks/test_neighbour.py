"""A neighbour with rights in one namespace tries to get at keys, objects and Secrets that are not theirs."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from confidential_summarizer import __main__ as entry
from confidential_summarizer.api.batch import read_indexes
from confidential_summarizer.api.names import FINALIZER
from confidential_summarizer.api.resource import Metadata, read_status
from confidential_summarizer.azure.transport import plain_session
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.errors import Conflict
from confidential_summarizer.kube import CONFIG_MAP, Kind, Object
from confidential_summarizer.measurement.cache import MemoryCache
from confidential_summarizer.measurement.shared import SharedMeasurer
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.run import Reconciler, Result
from confidential_summarizer.reconcile.secrets import PULL_SECRET_TYPE
from confidential_summarizer.release import build
from confidential_summarizer.targets.ownership import delete_ours, owner_reference
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget
from tests.support.attested import Attested
from tests.support.fakes import FakeKube, FakePages, FakeRegistry, FakeSigningKeys, FakeTarget, FakeVault, everywhere
from tests.support.resources import ATTESTATION, IDENTITY, IMAGE, VAULT, document, grant
from tests.support.tls import Handler, plainly

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ATTESTED = Attested(NOW)
OWNERS_HASH = "ab" * 32
EVIL_IMAGE = IMAGE.replace("a" * 64, "e" * 64)
ADOPT = "confidential.summarizer.dev/adopt-key"
USE = "confidential.summarizer.dev/use"


def file_systems(
    management: str = "Import", deletion: str = "Delete", source: str = "material"
) -> list[dict[str, Any]]:
    key = {"name": "shared-key", "vault": VAULT, "attestation": ATTESTATION, "management": management}
    if management == "Import":
        key |= {"secretRef": {"name": source, "key": "key"}}
    if deletion != "Retain":
        key["deletionPolicy"] = deletion
    blob = "https://party2.blob.core.windows.net/sealed/contracts.img"
    return [{"name": "documents", "role": "Documents", "blobURL": blob, "key": key}]


@dataclass
class Cluster:
    """Two namespaces, one vault; each resource has groups of its own."""

    kube: FakeKube = field(default_factory=FakeKube)
    vault: FakeVault = field(default_factory=FakeVault)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    groups: dict[str, Any] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    imports: Mapping[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def put(self, namespace: str, *, annotations: Mapping[str, str] | None = None, **changes: Any) -> None:
        resource = document(**changes)
        resource["metadata"] |= {
            "namespace": namespace,
            "uid": f"uid-{namespace}",
            "annotations": dict(annotations or {}),
        }
        known = self.kube.objects.get(("ConfidentialSummarizer", namespace, "contracts"))
        if known is not None:
            resource["status"] = known["status"]
            resource["metadata"]["generation"] = known["metadata"]["generation"] + 1
        self.kube.put(resource)

    def namespace(self, name: str, uid: str) -> None:
        self.kube.put({"kind": "Namespace", "metadata": {"name": name, "namespace": name, "uid": uid}})

    def secret(self, namespace: str, labels: Mapping[str, str] | None = None, key: bytes = b"k" * 32) -> None:
        meta = {"name": "material", "namespace": namespace, "labels": dict(labels or {})}
        self.kube.put({"kind": "Secret", "metadata": meta, "data": {"key": base64.b64encode(key).decode()}})

    def reconciler(self, namespace: str) -> Reconciler:
        groups = self.groups.setdefault(namespace, FakeTarget())
        pages = FakePages()
        if isinstance(groups, FakeTarget):
            pages.evidence_for = lambda nonce: ATTESTED.evidence(nonce, groups.deployed.derivation.policy.host_data)
        keys = FakeSigningKeys(ATTESTED.keys)
        clients = Clients(
            self.kube, self.registry.with_pull_secret, self.open, everywhere(groups), pages, keys, self.imports
        )

        async def unheard(*_: Any, **__: Any) -> None:
            pass

        return Reconciler(clients, unheard, lambda: NOW)

    def open(self, host: str) -> FakeVault:
        self.opened.append(host)
        return self.vault.at(host)

    async def reconcile(self, namespace: str) -> str:
        for _ in range(2):  # groups that are deployed at the first look are there at the second
            await self.reconciler(namespace).visit(namespace, "contracts")
        return str(self.ready(namespace)["reason"])

    async def remove(self, namespace: str) -> None:
        resource = self.kube.objects["ConfidentialSummarizer", namespace, "contracts"]
        resource["metadata"] |= {"deletionTimestamp": "2026-11-24T12:00:00Z", "finalizers": [FINALIZER]}
        for _ in range(3):
            if (await self.reconciler(namespace).visit(namespace, "contracts")).result is Result.GONE:
                return
        raise AssertionError("it is never gone")

    def ready(self, namespace: str) -> Mapping[str, Any]:
        conditions = self.kube.objects["ConfidentialSummarizer", namespace, "contracts"]["status"]["conditions"]
        return next(c for c in conditions if c["type"] == "Ready")

    def host_data(self, namespace: str) -> str:
        return str(self.kube.objects["ConfidentialSummarizer", namespace, "contracts"]["status"]["trust"]["hostData"])

    def admits(self) -> set[str]:
        policy = self.vault.keys["shared-key"].release_policy
        assert policy is not None
        return set(policy.host_data)


async def victim(*, readable: bool = True) -> Cluster:
    """Return a cluster in which namespace `legal`, which may be read, has a key that the operator imported for it."""
    cluster = Cluster()
    if readable:
        cluster.namespace("legal", "namespace-uid")
    cluster.secret("legal", {USE: "key"})
    cluster.put("legal", fileSystems=file_systems())
    assert await cluster.reconcile("legal") == "Ready"
    return cluster


async def test_a_neighbour_can_neither_rebind_nor_delete_a_key_imported_for_another_resource() -> None:
    cluster = await victim()
    before = cluster.vault.keys["shared-key"]
    cluster.put("mallory", image=EVIL_IMAGE, fileSystems=file_systems(source="does-not-exist"))
    assert await cluster.reconcile("mallory") == "KeyNotOwned"
    assert "csum-adoptable-by=mallory/contracts" in cluster.ready("mallory")["message"]
    await cluster.remove("mallory")
    assert cluster.vault.keys["shared-key"] == before
    assert cluster.groups["mallory"].deployed is None


async def test_a_neighbour_can_neither_rebind_nor_delete_the_data_owners_key_by_calling_it_import() -> None:
    cluster = Cluster()
    cluster.vault.add("shared-key", build([OWNERS_HASH], [ATTESTATION]))
    cluster.put("mallory", image=EVIL_IMAGE, fileSystems=file_systems())
    assert await cluster.reconcile("mallory") == "KeyNotOwned"
    await cluster.remove("mallory")
    assert cluster.vault.calls == []


async def test_a_neighbour_cannot_adopt_a_key_by_an_annotation_that_they_write_themselves() -> None:
    cluster = await victim()
    before = cluster.vault.keys["shared-key"]
    cluster.put("mallory", image=EVIL_IMAGE, annotations={ADOPT: f"{VAULT}/shared-key"}, fileSystems=file_systems())
    assert await cluster.reconcile("mallory") == "KeyNotOwned"
    assert cluster.vault.keys["shared-key"] == before


async def test_nor_in_a_namespace_of_the_victims_name_in_another_cluster() -> None:
    cluster = await victim()
    before = cluster.vault.keys["shared-key"]
    cluster.namespace("legal", "made-again-or-in-another-cluster")
    cluster.put("legal", image=EVIL_IMAGE, annotations={ADOPT: f"{VAULT}/shared-key"}, fileSystems=file_systems())
    cluster.kube.objects["ConfidentialSummarizer", "legal", "contracts"]["metadata"]["uid"] = "another"
    del cluster.kube.objects["ConfigMap", "legal", "contracts-policy"]
    assert await cluster.reconcile("legal") == "KeyNotOwned"
    assert cluster.vault.keys["shared-key"] == before


async def test_nor_by_importing_one_of_its_name_in_the_very_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    get = cluster.vault.get

    async def slowly(name: str) -> VaultKey | None:
        found = await get(name)
        await asyncio.sleep(0.01)
        return found

    monkeypatch.setattr(cluster.vault, "get", slowly)
    for namespace, image in (("legal", IMAGE), ("mallory", EVIL_IMAGE)):
        cluster.secret(namespace, {USE: "key"})
        cluster.put(namespace, image=image, fileSystems=file_systems())
    await asyncio.gather(cluster.reconcile("legal"), cluster.reconcile("mallory"))
    assert cluster.vault.calls == ["import shared-key"]
    assert cluster.admits() == {cluster.host_data("legal")}
    assert cluster.ready("mallory")["reason"] == "KeyNotOwned"


@pytest.mark.parametrize(("home", "reason"), [("namespace-uid", "Ready"), ("another-uid", "KeyNotOwned")])
async def test_an_annotation_alone_adopts_a_key_of_the_very_same_namespace_only(home: str, reason: str) -> None:
    cluster = Cluster()
    cluster.namespace("legal", "namespace-uid")
    tags = {"csum-owner-other": f"legal/other {home}"}
    cluster.vault.add("shared-key", build([OWNERS_HASH], [ATTESTATION]), tags=tags)
    cluster.put("legal", annotations={ADOPT: f"{VAULT}/shared-key"}, fileSystems=file_systems())
    assert await cluster.reconcile("legal") == reason


async def made_again(cluster: Cluster) -> str:
    """Put another resource of the same name in the place of the victim's, and return what becomes of it."""
    cluster.put("legal", image=EVIL_IMAGE, fileSystems=file_systems())
    cluster.kube.objects["ConfidentialSummarizer", "legal", "contracts"]["metadata"]["uid"] = "another"
    del cluster.kube.objects["ConfigMap", "legal", "contracts-policy"]  # collected with its owner
    return await cluster.reconcile("legal")


async def test_a_resource_made_again_in_the_same_namespace_goes_on_with_its_key() -> None:
    cluster = await victim()
    before = cluster.admits()
    assert await made_again(cluster) == "Ready"
    assert cluster.admits() == {cluster.host_data("legal")} != before
    assert [tag for tag in cluster.vault.keys["shared-key"].tags if "uid-legal" in tag] == []


async def test_a_resource_of_the_same_name_in_another_namespace_of_that_name_does_not_inherit_the_key() -> None:
    cluster = await victim()
    cluster.namespace("legal", "made-again-or-in-another-cluster")
    assert await made_again(cluster) == "KeyNotOwned"


@pytest.mark.parametrize("readable", [True, False], ids=["taken away", "never given"])
async def test_without_the_right_to_read_namespaces_nobody_inherits_a_key(readable: bool) -> None:
    cluster = await victim(readable=readable)
    cluster.kube.objects.pop(("Namespace", "legal", "legal"), None)
    assert await made_again(cluster) == "KeyNotOwned"


async def sharing() -> Cluster:
    """Return a cluster in which a second resource adopted the key, with the consent of who runs the vault."""
    cluster = await victim()
    key = cluster.vault.keys["shared-key"]
    cluster.vault.add("shared-key", key.release_policy, tags={**key.tags, "csum-adoptable-by": "finance/contracts"})
    cluster.put("finance", image=EVIL_IMAGE, annotations={ADOPT: f"{VAULT}/shared-key"}, fileSystems=file_systems())
    assert await cluster.reconcile("finance") == "Ready"
    return cluster


async def test_two_resources_that_share_a_key_do_not_evict_each_other() -> None:
    cluster = await sharing()
    both = {cluster.host_data("legal"), cluster.host_data("finance")}
    assert cluster.admits() == both
    cluster.vault.calls.clear()
    for namespace in ("legal", "finance", "legal"):
        assert await cluster.reconcile(namespace) == "Ready"
    assert cluster.admits() == both
    assert cluster.vault.calls == []


async def test_a_resource_that_goes_takes_only_its_own_policy_out_of_a_shared_key() -> None:
    cluster = await sharing()
    await cluster.remove("finance")
    assert cluster.admits() == {cluster.host_data("legal")}
    assert cluster.vault.keys["shared-key"].enabled
    await cluster.remove("legal")
    assert "shared-key" not in cluster.vault.keys


async def test_a_policy_that_the_owner_approved_by_hand_stays_when_the_operator_retires_its_own() -> None:
    cluster = await victim()
    old = cluster.host_data("legal")
    key = cluster.vault.keys["shared-key"]
    cluster.vault.add("shared-key", build([old, OWNERS_HASH], [ATTESTATION]), tags=key.tags)
    cluster.put("legal", fileSystems=file_systems(), summarizer={"maxWords": 50})
    assert await cluster.reconcile("legal") == "Ready"
    assert cluster.host_data("legal") != old
    assert cluster.admits() == {cluster.host_data("legal"), OWNERS_HASH}


async def test_an_external_key_is_never_written_not_even_to_take_out_an_older_policy() -> None:
    cluster = Cluster()
    cluster.put("legal", fileSystems=file_systems("External", "Retain"))
    await cluster.reconcile("legal")
    cluster.vault.add("shared-key", build([OWNERS_HASH, cluster.host_data("legal")], [ATTESTATION]))
    assert await cluster.reconcile("legal") == "Ready"
    assert cluster.vault.calls == []


@pytest.mark.parametrize("deletion", ["Disable", "Delete"])
async def test_an_external_key_is_neither_disabled_nor_deleted_with_its_resource(deletion: str) -> None:
    cluster = Cluster()
    cluster.vault.add("shared-key", build([OWNERS_HASH], [ATTESTATION]))
    cluster.put("legal", fileSystems=file_systems("External", deletion))
    await cluster.remove("legal")
    assert cluster.vault.calls == []


@pytest.mark.parametrize("management", ["External", "Import"])
@pytest.mark.parametrize("broken", [{"deleted": True}, {"enabled": False}, {"release_policy": None}])
async def test_a_key_that_cannot_come_out_is_not_touched_and_nothing_is_deployed(
    management: str, broken: dict[str, Any]
) -> None:
    cluster = Cluster()
    cluster.vault.add("shared-key", build([OWNERS_HASH], [ATTESTATION]), **broken)
    cluster.put("legal", fileSystems=file_systems(management, "Retain"))
    assert await cluster.reconcile("legal") == "KeyNotFound"
    assert cluster.vault.calls == []
    assert cluster.groups["legal"].calls == []


async def test_removing_twice_deletes_the_key_once() -> None:
    cluster = await victim()
    cluster.vault.calls.clear()
    resource = cluster.kube.objects["ConfidentialSummarizer", "legal", "contracts"]
    await cluster.remove("legal")
    cluster.kube.put(resource)  # the finalizer was released, but a crash came before anybody heard of it
    await cluster.remove("legal")
    assert cluster.vault.calls == ["delete shared-key"]


FOREIGN: dict[str, dict[str, Any]] = {
    "Deployment": {"kind": "Deployment", "metadata": {"name": "contracts", "namespace": "legal", "uid": "x"}, "spec": {}},
    "ConfigMap": {"kind": "ConfigMap", "metadata": {"name": "contracts-policy", "namespace": "legal", "uid": "y"}, "data": {"a": "b"}},
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
async def test_an_object_of_the_same_name_that_is_not_ours_is_neither_changed_nor_deleted(kind: str) -> None:
    cluster = Cluster()
    foreign = FOREIGN[kind]
    cluster.kube.put(foreign)
    cluster.groups["legal"] = VirtualNodeTarget(cluster.kube)
    cluster.secret("legal", {USE: "key"})
    cluster.put("legal", fileSystems=file_systems(deletion="Retain"))
    assert await cluster.reconcile("legal") == "NameTaken"
    assert f"{kind} legal/{foreign['metadata']['name']}" in cluster.ready("legal")["message"]
    await cluster.remove("legal")
    assert cluster.kube.objects[kind, "legal", foreign["metadata"]["name"]] == foreign


async def test_an_object_that_takes_the_place_of_ours_while_it_is_deleted_stays() -> None:
    kube, us = FakeKube(), Metadata(name="contracts", namespace="legal", uid="uid-legal")
    foreign = FOREIGN["ConfigMap"]
    kube.put({**foreign, "metadata": foreign["metadata"] | {"uid": "ours", "ownerReferences": [owner_reference(us)]}})

    class Replaced(FakeKube):
        async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
            found = await super().get(kind, namespace, name)
            self.put(foreign)
            return found

    with pytest.raises(Conflict):
        await delete_ours(Replaced(objects=kube.objects), us, CONFIG_MAP, "contracts-policy")
    assert kube.objects["ConfigMap", "legal", "contracts-policy"] == foreign


async def test_a_secret_without_the_label_is_not_imported_as_a_key() -> None:
    cluster = Cluster()
    cluster.secret("legal")
    cluster.put("legal", fileSystems=file_systems())
    assert await cluster.reconcile("legal") == "SecretNotAllowed"
    assert f"kubectl -n legal label secret material {USE}=key" in cluster.ready("legal")["message"]
    assert cluster.vault.calls == []


@pytest.mark.parametrize(
    "change",
    [{"fileSystems": file_systems()}, {"access": {"tokenSecretRef": {"name": "material", "key": "key"}}}],
    ids=["key", "token"],
)
async def test_the_credentials_of_a_registry_are_read_for_nothing_else(change: dict[str, Any]) -> None:
    """They need no label to pull with, whoever may read them."""
    cluster = Cluster()
    cluster.secret("legal")
    cluster.kube.objects["Secret", "legal", "material"]["type"] = PULL_SECRET_TYPE
    cluster.put("legal", **change)
    assert await cluster.reconcile("legal") == "SecretNotAllowed"
    assert cluster.vault.calls == []


async def test_a_key_of_absurd_length_is_refused_before_anybody_looks_whether_it_is_sound() -> None:
    """Made of primes that everybody knows: to prove them primes took a minute, in which the operator did nothing else."""
    first, second, exponent = 2**9689 - 1, 2**9941 - 1, 65537
    secret = pow(exponent, -1, (first - 1) * (second - 1))
    numbers = rsa.RSAPrivateNumbers(
        first,
        second,
        secret,
        rsa.rsa_crt_dmp1(secret, first),
        rsa.rsa_crt_dmq1(secret, second),
        rsa.rsa_crt_iqmp(first, second),
        rsa.RSAPublicNumbers(exponent, first * second),
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (documents,) = file_systems()
    derived = {"type": "RSA-HSM", "derivation": {"salt": "ab" * 32}}
    cluster = Cluster()
    cluster.secret("mallory", {USE: "key"}, pem)
    cluster.put("mallory", fileSystems=[documents | {"key": documents["key"] | derived}])
    assert await cluster.reconcile("mallory") == "InvalidSpec"
    assert cluster.vault.calls == []


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"auths": {f"{'*' * 60}{number}.azurecr.io": {} for number in range(1000)}}),
        '{"auths": ' + "[" * 50_000,
        '{"auths": {"party1.azurecr.io": "no entry"}}',
        '{"auths": {"party1.azurecr.io": {"auth": "é"}}}',
    ],
    ids=["too many", "too deep", "no entry", "no letters"],
)
async def test_a_pull_secret_that_is_none_is_refused_before_it_costs_anything(content: str) -> None:
    cluster = Cluster()
    meta = {"name": "pull", "namespace": "mallory"}
    data = {".dockerconfigjson": base64.b64encode(content.encode()).decode()}
    cluster.kube.put({"kind": "Secret", "metadata": meta, "type": PULL_SECRET_TYPE, "data": data})
    cluster.put("mallory", registryCredentials={"secretRef": {"name": "pull"}})
    reconciler = cluster.reconciler("mallory")
    measurer = SharedMeasurer(MemoryCache()).with_pull_secret
    await replace(reconciler, clients=replace(reconciler.clients, measurer=measurer)).visit("mallory", "contracts")
    assert cluster.ready("mallory")["reason"] == "InvalidSpec"


async def test_a_secret_labelled_for_a_key_does_not_become_a_token() -> None:
    cluster = Cluster()
    cluster.secret("legal", {USE: "key"})
    cluster.put("legal", access={"tokenSecretRef": {"name": "material", "key": "key"}})
    assert await cluster.reconcile("legal") == "SecretNotAllowed"
    assert ("ConfigMap", "legal", "contracts-policy") not in cluster.kube.objects


RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
OTHERS = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/theirs"
OTHERS_IDENTITY = f"{OTHERS}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/payroll"
OTHERS_SUBNET = f"{OTHERS}/providers/Microsoft.Network/virtualNetworks/theirs/subnets/inner"


def with_key(**changes: Any) -> list[dict[str, Any]]:
    (documents,) = file_systems("External", "Retain")
    return [documents | {"key": documents["key"] | changes}]


def with_blob(url: str) -> list[dict[str, Any]]:
    (documents,) = file_systems("External", "Retain")
    return [documents | {"blobURL": url}]


def place(subscription: str = OTHERS[15:51], group: str = "rg", **changes: Any) -> dict[str, Any]:
    return {"containerGroup": {"subscriptionID": subscription, "resourceGroup": group, "location": "westeurope", **changes}}  # fmt: skip


OURS = "00000000-0000-0000-0000-000000000001"
PUBLIC = {"access": {"exposure": "Public", "tokenSHA256": "a" * 64}}
REACHES: dict[str, tuple[dict[str, Any], str]] = {
    "another team's identity": ({"identity": {"resourceID": OTHERS_IDENTITY}}, f"identity {OTHERS_IDENTITY}"),
    "another team's identity, to pull images with": ({"registryCredentials": {"identity": OTHERS_IDENTITY}, "target": place(OURS), **PUBLIC, "identity": {"resourceID": IDENTITY, "clientID": "0" * 36}}, f"identity {OTHERS_IDENTITY}"),
    "another team's subscription": ({"target": place(), **PUBLIC}, f"resource group {OTHERS[:51]}/resourceGroups/rg"),
    "another team's subnet": ({"target": place(OURS, subnetIDs=[OTHERS_SUBNET])}, f"subnet {OTHERS_SUBNET}"),
    "another team's subnet, from a virtual node": ({"target": {"virtualNode": {"subnetID": OTHERS_SUBNET}}}, f"subnet {OTHERS_SUBNET}"),
    "another team's vault": ({"fileSystems": with_key(vault="payroll.managedhsm.azure.net")}, "vault payroll.managedhsm.azure.net"),
    "an attestation service of their own": ({"fileSystems": with_key(attestation="mallory.eus2.attest.azure.net")}, "attestation service mallory.eus2.attest.azure.net"),
    "the import of a key": ({"fileSystems": file_systems()}, f"key shared-key of vault {VAULT}, to be imported by the operator"),
    "a key of another name": ({"fileSystems": with_key(name="payroll")}, f"key payroll of vault {VAULT}"),
    "a registry inside, for a sidecar": ({"sidecars": {"encfs": "metadata.internal/x@sha256:" + "a" * 64}}, "registry metadata.internal"),
    "a registry inside": ({"image": "metadata.internal/x:1"}, "registry metadata.internal"),
    "another team's blobs": ({"fileSystems": with_blob("https://payroll.blob.core.windows.net/wages/a.img")}, "blob host payroll.blob.core.windows.net"),
}  # fmt: skip


def theirs(cluster: Cluster, **changes: Any) -> None:
    """Leave nothing but a grant for namespace `mallory`, for keys of its own."""
    del cluster.kube.objects["SummarizerGrant", "", "all"]
    keys = [{"host": VAULT, "keys": ["shared-*"]}]
    cluster.kube.put(grant("mallory", **{"vaults": keys, "subscriptions": [OURS]} | changes))


def untouched(cluster: Cluster, registry: FakeRegistry) -> bool:
    return cluster.opened == [] and registry.asked == [] and cluster.groups["mallory"].calls == []


@pytest.mark.parametrize("reach", REACHES)
async def test_a_neighbour_cannot_reach_through_the_operator_for(reach: str) -> None:
    changes, named = REACHES[reach]
    cluster = Cluster()
    theirs(cluster)
    cluster.put("mallory", **changes)
    assert await cluster.reconcile("mallory") == "NotGranted"
    assert named in cluster.ready("mallory")["message"]
    assert untouched(cluster, cluster.registry)


@pytest.mark.parametrize("reach", REACHES)
async def test_nor_by_deleting_the_resource_that_names(reach: str) -> None:
    cluster = Cluster()
    theirs(cluster)
    cluster.put("mallory", **REACHES[reach][0])
    cluster.reconciler("mallory")
    await cluster.remove("mallory")
    assert untouched(cluster, cluster.registry)


@pytest.mark.parametrize("paused", ["false", "true"])
@pytest.mark.parametrize("reach", REACHES)
async def test_nor_where_the_operator_only_looks_at_groups_that_run_once_their_resource_names(
    reach: str, paused: str
) -> None:
    changes, named = REACHES[reach]
    cluster = Cluster()
    theirs(cluster, vaults=[{"host": VAULT, "keys": ["contracts-key"]}])
    cluster.put("mallory")
    await cluster.reconcile("mallory")
    cluster.vault.add("contracts-key", build([cluster.host_data("mallory")], [ATTESTATION]))
    assert await cluster.reconcile("mallory") == "Ready"
    cluster.opened.clear()
    cluster.registry.asked.clear()
    cluster.groups["mallory"] = FakeTarget(deployed=cluster.groups["mallory"].deployed)
    cluster.put("mallory", annotations={"confidential.summarizer.dev/pause": paused}, **changes)
    assert await cluster.reconcile("mallory") == "NotGranted"
    assert named in cluster.ready("mallory")["message"]
    assert untouched(cluster, cluster.registry)
    assert cluster.groups["mallory"].reads == 0


async def test_a_grant_for_one_namespace_is_none_for_another() -> None:
    cluster = Cluster()
    theirs(cluster)
    cluster.put("legal")
    assert await cluster.reconcile("legal") == "NotGranted"


async def test_a_label_that_the_namespace_does_not_carry_grants_nothing() -> None:
    cluster = Cluster()
    theirs(cluster, namespaces={"matchLabels": {"team": "legal"}})
    cluster.put("mallory")
    assert await cluster.reconcile("mallory") == "NotGranted"


async def test_what_a_grant_of_a_later_version_restricts_is_not_overlooked() -> None:
    cluster = Cluster()
    theirs(cluster, onlyOnSundays=True)
    cluster.put("mallory")
    assert await cluster.reconcile("mallory") == "NotGranted"


async def test_the_lines_of_the_message_are_the_grant_that_is_missing() -> None:
    cluster = Cluster()
    del cluster.kube.objects["SummarizerGrant", "", "all"]
    cluster.secret("mallory", {USE: "key"})
    cluster.put("mallory", fileSystems=file_systems(), target=place(OURS, subnetIDs=[OTHERS_SUBNET]))
    assert await cluster.reconcile("mallory") == "NotGranted"
    spec = yaml.safe_load(cluster.ready("mallory")["message"].partition("(YAML): spec: ")[2])
    cluster.kube.put(grant("mallory") | {"spec": spec})
    assert await cluster.reconcile("mallory") == "Ready"


async def test_without_its_grant_a_resource_is_left_alone_and_its_deletion_still_removes_what_is_its_own() -> None:
    cluster = await victim()
    cluster.kube.objects.pop(("SummarizerGrant", "", "all"))
    cluster.put("legal", fileSystems=file_systems(), summarizer={"maxWords": 50})
    cluster.vault.calls.clear()
    assert await cluster.reconcile("legal") == "NotGranted"
    assert cluster.vault.calls == []
    await cluster.remove("legal")
    assert cluster.groups["legal"].deployed is None
    assert cluster.vault.calls == ["delete shared-key"]


@pytest.mark.parametrize("indexes", ["0-999999999999", "0-99," * 1_000_000, "9" * 5000, "x"])
def test_a_status_that_somebody_else_wrote_takes_no_memory(indexes: str) -> None:
    place_ = {"kind": "ContainerGroup", "subscriptionID": OURS, "resourceGroup": "rg", "groups": 10**12}
    assert read_status({"placements": [place_]}).placements == []
    assert read_indexes(indexes) == frozenset()


async def test_a_resource_that_had_a_grant_cannot_take_its_deletion_to_a_vault_that_was_never_granted() -> None:
    cluster = await victim()
    cluster.opened.clear()
    cluster.kube.objects.pop(("SummarizerGrant", "", "all"))
    (own,) = file_systems()
    elsewhere = own | {"name": "payroll", "key": own["key"] | {"vault": "payroll.managedhsm.azure.net"}}
    cluster.put("legal", fileSystems=[elsewhere, own])
    await cluster.remove("legal")
    assert set(cluster.opened) == {VAULT}
    assert cluster.vault.calls[-1] == "delete shared-key"


def test_a_host_that_a_resource_names_gets_no_password_that_the_operators_machine_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login operator password kept-for-another\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    sent: list[str | None] = []

    class Host(Handler):
        def get(self) -> None:
            sent.append(self.headers["Authorization"])
            self.reply(200, {})

    async def asks_a_host(_settings: object) -> None:
        async with plain_session() as session:
            await session.get(host)

    monkeypatch.setattr(entry, "run", asks_a_host)
    with plainly(Host) as host:
        assert entry.main() == 0
    assert sent == [None]
