"""Hand-written stand-ins for the operator's edges: they keep what they are told and answer from it."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.api.target import Placement, TargetKind
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.errors import Conflict
from confidential_summarizer.evidence import SigningKey
from confidential_summarizer.kube import Kind, Object
from confidential_summarizer.measurement.image import Measure, MeasuredImage
from confidential_summarizer.measurement.layer import MeasuredLayer
from confidential_summarizer.pages import Answer
from confidential_summarizer.registry import ImageConfig, ImageReference, LayerDescriptor, ResolvedImage
from confidential_summarizer.release import ReleasePolicy
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Derivation, Desired, Plan, Removal, Targets
from tests.support.attested import PEER
from tests.support.resources import VAULT, grant


@dataclass
class FakeKube:
    """An API server that holds objects, a grant of everything among them; `writes` lists every change."""

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(
        default_factory=lambda: {("SummarizerGrant", "", "all"): grant("*")}
    )
    writes: list[str] = field(default_factory=list)

    def put(self, document: Mapping[str, Any]) -> None:
        """Put an object there without counting it as a write of ours."""
        meta = document["metadata"]
        self.objects[document["kind"], meta.get("namespace", ""), meta["name"]] = copy.deepcopy(dict(document))

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind.kind, namespace, name)))

    async def list(
        self,
        kind: Kind,
        namespace: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: str | None = None,
        limit: int | None = None,
        metadata_only: bool = False,
    ) -> list[Object]:
        found = [o for (k, ns, _), o in self.objects.items() if k == kind.kind and namespace in ("", ns)]
        wanted = (labels or {}).items()
        return [copy.deepcopy(o) for o in found if wanted <= (o["metadata"].get("labels") or {}).items()]

    async def apply(self, manifest: Object, *, dry_run: bool = False) -> Object:
        known = self.objects.get((manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
        if dry_run:
            # What is not ours stays as it is, as in a merge of fields.
            return _merged(known or {}, manifest)
        self.writes.append(f"apply {manifest['kind']}")
        self.put(manifest)
        return manifest

    async def replace(self, document: Object, *, dry_run: bool = False) -> Object:
        if not dry_run:
            self.writes.append(f"replace {document['kind']}")
            self.put(document)
        return copy.deepcopy(document)

    async def create(self, manifest: Object) -> Object:
        meta = manifest["metadata"]
        if (manifest["kind"], meta["namespace"], meta["name"]) in self.objects:
            raise Conflict(f"{manifest['kind']} {meta['name']} exists")
        self.writes.append(f"create {manifest['kind']}")
        self.put(manifest)
        return manifest

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object | None:
        known = self.objects.get((kind.kind, namespace, name))
        if known is None:
            return None
        self.writes.append(f"merge {kind.kind}")
        metadata = {**known["metadata"], **patch.get("metadata", {})}
        merged = {**known, **patch, "metadata": metadata}
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            del self.objects[kind.kind, namespace, name]
        else:
            self.objects[kind.kind, namespace, name] = merged
        return copy.deepcopy(merged)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        known = self.objects.get((kind.kind, namespace, name))
        if uid is not None and known is not None and known["metadata"].get("uid") != uid:
            raise Conflict(f"{kind.kind} {name} is another one")
        self.writes.append(f"delete {kind.kind}")
        self.objects.pop((kind.kind, namespace, name), None)

    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        self.writes.append(f"status {kind.kind}")
        known = self.objects.get((kind.kind, namespace, name))
        if known is not None:
            merged = {**known.get("status", {}), **status}
            known["status"] = {key: value for key, value in merged.items() if value is not None}


def _merged(known: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**known, **manifest}
    both = [key for key in manifest if isinstance(manifest[key], dict) and isinstance(known.get(key), dict)]
    return merged | {key: _merged(known[key], manifest[key]) for key in both}


@dataclass
class FakeVault:
    """One vault with keys in it."""

    host: str = VAULT
    keys: dict[str, VaultKey] = field(default_factory=dict)
    material: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    error: Exception | None = None

    def add(self, name: str, policy: ReleasePolicy | None, **changes: Any) -> None:
        key = VaultKey(f"https://{self.host}/keys/{name}/1", name, "oct-HSM", exportable=True, release_policy=policy)
        self.keys[name] = replace(key, **changes)

    async def get(self, name: str) -> VaultKey | None:
        self.reads.append(name)
        if self.error is not None:
            raise self.error
        return self.keys.get(name)

    async def import_key(
        self,
        name: str,
        material: Any,
        policy: ReleasePolicy,
        *,
        immutable: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> VaultKey:
        self.calls.append(f"import {name}")
        self.material[name] = material
        self.add(name, policy, immutable=immutable, tags=dict(tags or {}))
        return self.keys[name]

    async def update_release_policy(
        self, name: str, policy: ReleasePolicy, *, tags: Mapping[str, str] | None = None
    ) -> VaultKey:
        self.calls.append(f"update {name}")
        known = self.keys[name]
        self.keys[name] = replace(known, release_policy=policy, tags=known.tags if tags is None else dict(tags))
        return self.keys[name]

    async def disable(self, name: str) -> None:
        self.calls.append(f"disable {name}")
        self.keys[name] = replace(self.keys[name], enabled=False)

    async def delete(self, name: str) -> None:
        self.calls.append(f"delete {name}")
        self.keys.pop(name, None)

    async def recover(self, name: str) -> None:
        self.calls.append(f"recover {name}")

    async def purge(self, name: str) -> None:
        self.calls.append(f"purge {name}")

    def at(self, host: str) -> "FakeVault":
        assert host == self.host
        return self

    @asynccontextmanager
    async def opened(self, host: str) -> AsyncIterator["FakeVault"]:
        yield self.at(host)


def layer_of(digit: str) -> MeasuredLayer:
    """Return a layer whose diff_id and root hash are one digit throughout."""
    return MeasuredLayer("sha256:" + digit * 64, digit * 64, size=1, compression="none")


def measured(reference: str, *, layer: str = "1") -> MeasuredImage:
    """Return an image of one layer, as the registry would give it."""
    parsed = ImageReference.parse(reference)
    digest = parsed.digest or "sha256:" + layer * 64
    config = ImageConfig(
        entrypoint=("/app",),
        cmd=None,
        env=("PATH=/bin",),
        working_dir="/",
        user="",
        stop_signal="",
        architecture="amd64",
        os="linux",
        diff_ids=("sha256:" + layer * 64,),
    )
    descriptor = LayerDescriptor(
        "sha256:" + layer * 64, 1, "application/vnd.oci.image.layer.v1.tar", config.diff_ids[0]
    )
    return MeasuredImage(ResolvedImage(reference, parsed, digest, config, (descriptor,)), (layer_of(layer),))


@dataclass
class FakeRegistry:
    """Measures every reference; a tag can be moved by changing `layer`."""

    layer: str = "1"
    asked: list[str] = field(default_factory=list)
    error: Exception | None = None
    slow: bool = False

    def with_pull_secret(self, secret: Mapping[str, Any] | None) -> Measure:
        return self.measure

    async def measure(self, reference: str) -> MeasuredImage:
        self.asked.append(reference)
        if self.slow:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        pinned = ImageReference.parse(reference).digest
        return measured(reference, layer=pinned[-1] if pinned else self.layer)


@dataclass(frozen=True)
class Deploy:
    """The one step of a fake target."""

    desired: Desired

    def __str__(self) -> str:
        return f"deploy {self.desired.derivation.policy.host_data[:8]}"


@dataclass
class FakeTarget:
    """Groups that come up as far as `phase` says, from the look after the one that deployed them.

    Attributes:
        calls: Every write, in order.
        error: What every call raises, where the target cannot be asked.
        removal: What `remove` answers; None: the groups are gone at the second look.
        removed_from: Where `remove` was told to look.
        hangs: Whether `remove` never answers.
        refusal: What every step raises.
        starts: Counts how often the groups were made anew under the same names.
    """

    phase: GroupPhase = GroupPhase.READY
    message: str = ""
    changed: Sequence[str] = ()
    deployed: Desired | None = None
    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    removal: Removal | None = None
    removed_from: list[Placement] = field(default_factory=list)
    hangs: bool = False
    refusal: Exception | None = None
    starts: int = 0
    reads: int = 0

    async def read(self, resource: ConfidentialSummarizer, derivation: Derivation | None = None) -> list[Group]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        if self.deployed is None:
            return []
        host_data = self.deployed.derivation.policy.host_data
        return [
            Group(f"group-{i}", host_data, self.phase, f"10.0.0.{i + 1}:8501", self.message, f"start-{self.starts}-{i}")
            for i in range(self.deployed.resource.spec.replicas)
        ]

    def plan(self, desired: Desired, live: list[Group], now: datetime) -> Plan:
        wanted = (desired.derivation.manifest, desired.resource.spec.replicas)
        if self.deployed is None:
            return Plan([Deploy(desired)] if desired.resource.spec.replicas else [])
        if (self.deployed.derivation.manifest, self.deployed.resource.spec.replicas) != wanted:
            return Plan([Deploy(desired)])
        correct = self.changed and desired.resource.spec.drift_policy is DriftPolicy.CORRECT
        return Plan([Deploy(desired)] if correct else [], drift=self.changed)

    async def execute(self, plan: Plan) -> None:
        for step in plan.steps:
            assert isinstance(step, Deploy)
            if self.refusal is not None:
                raise self.refusal
            self.calls.append(str(step))
            self.deployed, self.changed = step.desired, ()

    async def observe(self, resource: ConfidentialSummarizer, live: list[Group], host_data: str) -> Observation:
        return Observation(resource.spec.replicas, live, host_data)

    async def remove(self, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool) -> Removal:
        if self.error is not None:
            raise self.error
        self.calls.append("orphan" if orphan else "remove")
        self.removed_from += placements
        if self.hangs:
            await asyncio.Event().wait()
        if self.removal is not None:
            return self.removal
        if orphan or self.deployed is None:
            return Removal()
        self.deployed = None
        return Removal(["group-0"], "it is going away")


def everywhere(target: Any) -> Targets:
    """Return a table in which every kind is the one target."""
    return dict.fromkeys(TargetKind, target)


@dataclass
class FakePages:
    """Pages that answer what they were given."""

    answers: dict[str, Any] = field(default_factory=dict)
    evidence_for: Any = None
    evidence_of: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    peer: str = PEER

    async def status(self, address: str) -> Mapping[str, Any] | None:
        return self.answers.get(address)

    async def evidence(self, address: str, nonce: str) -> Answer | None:
        self.asked.append(address)
        evidence = self.evidence_of.get(address, self.evidence_for)
        return Answer(evidence(nonce), self.peer) if evidence else None


@dataclass
class FakeSigningKeys:
    """The attestation service's keys."""

    keys: tuple[SigningKey, ...] = ()
    asked: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, authority: str) -> tuple[SigningKey, ...]:
        self.asked.append(authority)
        if self.error is not None:
            raise self.error
        return self.keys
