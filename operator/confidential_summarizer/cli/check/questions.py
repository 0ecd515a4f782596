"""What `csum check` asks: everything that a resource needs, at once, and without changing anything."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Sequence

from confidential_summarizer.api.file_systems import FileSystem, KeyManagement
from confidential_summarizer.api.names import GRANT_KIND, USE_LABEL
from confidential_summarizer.api.quantity import parse_quantity
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import ConditionStatus, ConditionType
from confidential_summarizer.api.summarizer import SIDECAR_CPU
from confidential_summarizer.api.target import ContainerGroup
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.cli.check.roles import held, wanted_roles
from confidential_summarizer.cli.check.world import Row, Verdict, World
from confidential_summarizer.errors import AccessDenied, SealingError, SummarizerError, TransientError
from confidential_summarizer.kube import NAMESPACE, SECRET, KubernetesAPI
from confidential_summarizer.reconcile.authorization import Need
from confidential_summarizer.reconcile.grant_cache import Grants
from confidential_summarizer.reconcile.key_checks import KeyFacts, objection
from confidential_summarizer.reconcile.key_tags import adoptable, owned
from confidential_summarizer.reconcile.keys import not_owned, owner_of
from confidential_summarizer.reconcile.secrets import PULL_SECRET_TYPE, SecretUse
from confidential_summarizer.sealing.luks_header import LARGEST_HEADER, parse_header

NO_CLUSTER = "not looked at: no cluster was reached; set KUBECONFIG"

QUOTAS = ("ContainerGroups", "ConfidentialCores")
"""Of a region; the second name is what Azure's messages call it, and is skipped where it is not listed."""


async def ask(world: World, resource: ConfidentialSummarizer) -> tuple[list[Row], tuple[Need, ...]]:
    """Look at everything that a resource needs.

    Returns:
        What was found, in the order of the operator's own steps; and what no grant allows.
    """
    missing: list[Need] = []
    policy, host_data = await _policy(world, resource)
    questions = [
        _guarded("grants", _granted(world.kube, resource, missing)),
        *(_guarded(f"Secret {one[0]}", _secret(world.kube, resource, *one)) for one in secrets(resource)),
        *(_guarded(key_of(f), _key(world, resource, f, host_data)) for f in resource.spec.file_systems),
        *(_guarded(f"blob of {f.name}", _blob(world, f)) for f in resource.spec.file_systems),
        *(_guarded(wanted.what, held(world, wanted)) for wanted in wanted_roles(resource)),
        *(_guarded(f"room in {place.location}", _room(world, resource, place)) for place in places(resource)),
    ]
    grants, *others = await asyncio.gather(*questions)
    return [*_said(resource), *grants, policy, *(row for rows in others for row in rows)], tuple(missing)


def secrets(resource: ConfidentialSummarizer) -> list[tuple[str, str, SecretUse]]:
    """Return name, key and use of every Secret that a resource names."""
    spec = resource.spec
    found = [
        (f.key.secret_ref.name, f.key.secret_ref.key, SecretUse.KEY)
        for f in spec.file_systems
        if f.key.secret_ref is not None
    ]
    if spec.access.token_secret_ref is not None:
        found.append((spec.access.token_secret_ref.name, spec.access.token_secret_ref.key, SecretUse.TOKEN))
    if spec.registry_credentials is not None and spec.registry_credentials.secret_ref is not None:
        found.append((spec.registry_credentials.secret_ref.name, ".dockerconfigjson", SecretUse.PULL))
    return found


def _said(resource: ConfidentialSummarizer) -> list[Row]:
    """What the operator says itself, where the resource is applied already."""
    ready = resource.status.condition(ConditionType.READY)
    if ready is None:
        return []
    verdict = Verdict.OK if ready.status is ConditionStatus.TRUE else Verdict.MISSING
    return [Row("status", verdict, f"{ready.reason}: {ready.message}")]


async def _guarded(what: str, question: Awaitable[list[Row]]) -> list[Row]:
    try:
        return await question
    except (TransientError, AccessDenied) as error:
        return [Row(what, Verdict.UNKNOWN, str(error))]
    except SummarizerError as error:
        return [Row(what, Verdict.MISSING, str(error))]


async def _policy(world: World, resource: ConfidentialSummarizer) -> tuple[Row, str | None]:
    """Measure the images; return the hash of the policy where it can be known."""
    what = "images and policy"
    try:
        token = await _token_sha256(world.kube, resource)
        derivation = await world.derive(resource, token)
    except (TransientError, AccessDenied) as error:
        return Row(what, Verdict.UNKNOWN, str(error)), None
    except SummarizerError as error:
        return Row(what, Verdict.MISSING, str(error)), None
    host_data = derivation.policy.host_data
    if token is None and resource.spec.access.token_secret_ref is not None:
        detail = "the images can be measured; the policy depends on the readers' token, which could not be read"
        return Row(what, Verdict.UNKNOWN, detail), None
    return Row(what, Verdict.OK, f"host-data {host_data}"), host_data


async def _token_sha256(kube: KubernetesAPI | None, resource: ConfidentialSummarizer) -> str | None:
    access = resource.spec.access
    if access.token_secret_ref is None or kube is None:
        return access.token_sha256
    try:
        secret = await kube.get(SECRET, resource.metadata.namespace, access.token_secret_ref.name)
    except AccessDenied:
        return None
    encoded = ((secret or {}).get("data") or {}).get(access.token_secret_ref.key)
    return None if encoded is None else hashlib.sha256(base64.b64decode(encoded).rstrip(b"\r\n")).hexdigest()


async def _granted(kube: KubernetesAPI | None, resource: ConfidentialSummarizer, missing: list[Need]) -> list[Row]:
    if kube is None:
        return [Row("grants", Verdict.UNKNOWN, NO_CLUSTER)]
    namespace = resource.metadata.namespace
    if await kube.get(NAMESPACE, namespace, namespace) is None:
        detail = f"the namespace does not exist: `kubectl create namespace {namespace}`"
        return [Row(f"namespace {namespace}", Verdict.MISSING, detail)]
    missing += await Grants(kube).missing(resource)
    if not missing:
        return [Row("grants", Verdict.OK, f"namespace {namespace} may use all that the resource names")]
    return [Row(need.words, Verdict.MISSING, f"no {GRANT_KIND} lets namespace {namespace} use it") for need in missing]


async def _secret(
    kube: KubernetesAPI | None, resource: ConfidentialSummarizer, name: str, key: str, use: SecretUse
) -> list[Row]:
    namespace, what = resource.metadata.namespace, f"Secret {name}"
    if kube is None:
        return [Row(what, Verdict.UNKNOWN, NO_CLUSTER)]
    secret = await kube.get(SECRET, namespace, name)
    if secret is None or key not in (secret.get("data") or {}):
        if use is SecretUse.PULL:
            remedy = f"kubectl -n {namespace} create secret docker-registry {name}"
        else:
            remedy = f"kubectl -n {namespace} create secret generic {name} --from-file={key}=FILE"
        return [Row(what, Verdict.MISSING, f"it does not exist, or has no key {key}: `{remedy} …`")]
    labelled = (secret["metadata"].get("labels") or {}).get(USE_LABEL) == use
    if not labelled and not (use is SecretUse.PULL and secret.get("type") == PULL_SECRET_TYPE):
        remedy = f"kubectl -n {namespace} label secret {name} {USE_LABEL}={use}"
        return [Row(what, Verdict.MISSING, f"it is not labelled for its use: `{remedy}`")]
    return [Row(what, Verdict.OK, f"key {key} is there, and the operator may read it")]


async def _key(
    world: World, resource: ConfidentialSummarizer, file_system: FileSystem, host_data: str | None
) -> list[Row]:
    key, what = file_system.key, key_of(file_system)
    async with world.vault(key.vault) as vault:
        found = await vault.get(key.name)
    if found is None and key.management is KeyManagement.IMPORT:
        return [Row(what, Verdict.OK, f"not there yet: the operator imports it from Secret {_source(file_system)}")]
    if host_data is None and _usable(found):
        return [Row(what, Verdict.UNKNOWN, "it exists; whether it admits the policy depends on the images")]
    objected = objection(KeyFacts(resource, file_system, found, host_data or ""))
    if objected is None:
        return [Row(what, Verdict.OK, "it admits the policy")]
    if key.management is KeyManagement.IMPORT and found is not None and _usable(found):
        return [await _amendable(world.kube, resource, file_system, found)]
    return [Row(what, Verdict.MISSING, objected[1])]


async def _amendable(
    kube: KubernetesAPI | None, resource: ConfidentialSummarizer, file_system: FileSystem, key: VaultKey
) -> Row:
    """Whether the operator may let the policy into a key that does not admit it yet."""
    what = key_of(file_system)
    if kube is None:
        return Row(what, Verdict.UNKNOWN, f"whose key it is depends on the cluster; {NO_CLUSTER}")
    owner = await owner_of(kube, resource.metadata)
    if owned(key, owner) or adoptable(key, owner, file_system.key.vault):
        return Row(what, Verdict.OK, "the operator adds the policy to it")
    return Row(what, Verdict.MISSING, not_owned(resource, file_system))


def key_of(file_system: FileSystem) -> str:
    """Return the key of a file system, for people."""
    return f"key {file_system.key.name} in {file_system.key.vault}"


def _usable(key: VaultKey | None) -> bool:
    return key is not None and not key.deleted and key.enabled and key.release_policy is not None


def _source(file_system: FileSystem) -> str:
    return file_system.key.secret_ref.name if file_system.key.secret_ref else ""


async def _blob(world: World, file_system: FileSystem) -> list[Row]:
    what = f"blob of {file_system.name}"
    async with world.blob(file_system) as blob:
        state = await blob.state()
        if state is None:
            detail = f"there is no blob at {file_system.blob_url}: `csum push IMAGE {file_system.blob_url}`"
            return [Row(what, Verdict.MISSING, detail)]
        obstacles = _obstacles(await blob.head(LARGEST_HEADER), file_system)
    pin = file_system.content_sha256
    if pin is not None and state.content_sha256 is not None and state.content_sha256 != pin:
        obstacles = (*obstacles, f"it holds content {state.content_sha256}, and contentSHA256 pins {pin}")
    if obstacles:
        return [Row(what, Verdict.MISSING, f"{'; '.join(obstacles)}: seal and push it again, or correct the resource")]
    return [Row(what, Verdict.OK, f"a sealed image of {state.size / 1e6:.1f} MB")]


def _obstacles(head: bytes, file_system: FileSystem) -> Sequence[str]:
    try:
        return parse_header(head, "it").obstacles()
    except SealingError as error:
        return (str(error).rstrip("."),)
    except (ValueError, KeyError, TypeError, AttributeError):  # whoever writes the blob writes its header
        return (f"the header of {file_system.blob_url} makes no sense",)


def places(resource: ConfidentialSummarizer) -> list[ContainerGroup]:
    """Return where container groups are made straight through Resource Manager: one place, or none."""
    place = resource.spec.target.container_group
    return [] if place is None else [place]


async def _room(world: World, resource: ConfidentialSummarizer, place: ContainerGroup) -> list[Row]:
    """Whether the resource group is there, and the quota has room for the groups that do not run yet."""
    what = f"room in {place.location}"
    async with world.groups(place.subscription_id) as groups:
        await groups.list(place.resource_group)
        usages = await groups.usages(place.location)
    batch = resource.spec.batch
    at_once = resource.spec.replicas if batch is None else batch.parallelism
    more = max(0, at_once - resource.status.replicas)
    cores = float(parse_quantity(resource.spec.resources.cpu) + SIDECAR_CPU)
    needed = {name: more * (cores if "Cores" in name else 1) for name in usages if name in QUOTAS}
    short = [
        f"{name}: {usages[name][0]:g} of {usages[name][1]:g} are used, and {wanted:g} more are needed"
        for name, wanted in needed.items()
        if usages[name][0] + wanted > usages[name][1]
    ]
    if short:
        return [Row(what, Verdict.MISSING, f"{'; '.join(short)}: ask Azure for a larger quota, or take fewer replicas")]
    return [Row(what, Verdict.OK, f"resource group {place.resource_group} is there, and its quota has room")]
