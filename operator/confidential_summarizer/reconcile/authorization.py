"""What a resource wants to use outside of its namespace, and which of it no grant allows. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from confidential_summarizer.api.file_systems import Key, KeyManagement
from confidential_summarizer.api.grant import GrantSpec, SummarizerGrant
from confidential_summarizer.api.spec import Sidecars, Spec
from confidential_summarizer.api.target import ContainerGroup
from confidential_summarizer.registry import ImageReference

OWN_REGISTRY = ImageReference.parse(Sidecars().encfs).registry
"""The registry of the sidecars that the operator asks for by itself: it needs no grant."""


@dataclass(frozen=True)
class Need:
    """One thing that a resource wants to use.

    Attributes:
        words: What it is, for people.
        field: The field of a grant that has to list it.
        entry: What the field then lists.
        allowed: Tells whether a grant lists it.
    """

    words: str
    field: str
    entry: Any
    allowed: Callable[[GrantSpec], bool]


def needs(spec: Spec) -> tuple[Need, ...]:
    """Return everything outside of its namespace that a resource asks for, each thing once."""
    return tuple({need.words: need for need in _needs(spec)}.values())


def authorize(
    spec: Spec, namespace: str, labels: Mapping[str, str], grants: Sequence[SummarizerGrant]
) -> tuple[Need, ...]:
    """Return what no grant allows; empty if everything is allowed.

    Args:
        spec: What the resource asks for.
        namespace: The resource's namespace.
        labels: The labels of that namespace.
        grants: All grants of the cluster; those for the namespace add up.
    """
    ours = [grant.spec for grant in grants if grant.spec.namespaces.selects(namespace, labels)]
    return tuple(need for need in needs(spec) if not any(need.allowed(grant) for grant in ours))


def additions(missing: Sequence[Need]) -> dict[str, Any]:
    """Return the fields of a grant's spec that would allow what is missing, as JSON."""
    fields: dict[str, Any] = {}
    for need in missing:
        entries = fields.setdefault(need.field, [])
        same = next((e for e in entries if need.field == "vaults" and _mergeable(e, need.entry)), None)
        if same is not None:
            same["keys"] += need.entry["keys"]
        else:
            entries.append(dict(need.entry) if isinstance(need.entry, Mapping) else need.entry)
    return fields


def _mergeable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["host"] == other["host"] and one.get("import") == other.get("import")


def _needs(spec: Spec) -> Iterator[Need]:
    registries = {ImageReference.parse(image).registry for image in (spec.image, spec.sidecars.encfs)}
    for registry in sorted(registries - {OWN_REGISTRY}):
        yield _listed("registry", "registries", registry)
    for file_system in spec.file_systems:
        yield _key(file_system.key)
        yield _listed("attestation service", "attestationServices", file_system.key.attestation)
        yield _listed("blob host", "blobHosts", urlsplit(file_system.blob_url).hostname or "")
        if file_system.output is not None:
            yield _listed("blob host", "blobHosts", urlsplit(file_system.output.blob_prefix).hostname or "")
    yield _listed("identity", "identities", spec.identity.resource_id)
    if spec.registry_credentials is not None and spec.registry_credentials.identity is not None:
        yield _listed("identity", "identities", spec.registry_credentials.identity)
    if spec.target.virtual_node is not None and spec.target.virtual_node.subnet_id is not None:
        yield _listed("subnet", "subnets", spec.target.virtual_node.subnet_id)
    if spec.target.container_group is not None:
        yield _resource_group(spec.target.container_group)
        for subnet in spec.target.container_group.subnet_ids:
            yield _listed("subnet", "subnets", subnet)


def _listed(word: str, field: str, value: str) -> Need:
    """A need that one list of a grant has to name; host names and ARM ids do not tell letters' cases apart."""

    def allowed(grant: GrantSpec) -> bool:
        listed: Sequence[str] = getattr(grant, _ATTRIBUTES[field])
        return value.lower() in {entry.lower() for entry in listed}

    return Need(f"{word} {value}", field, value, allowed)


_ATTRIBUTES = {(info.alias or name): name for name, info in GrantSpec.model_fields.items()}


def _key(key: Key) -> Need:
    imports = key.management is KeyManagement.IMPORT

    def allowed(grant: GrantSpec) -> bool:
        return any(
            vault.host.lower() == key.vault.lower()
            and any(fnmatchcase(key.name.lower(), pattern.lower()) for pattern in vault.keys)
            and (vault.import_allowed or not imports)
            for vault in grant.vaults
        )

    entry = {"host": key.vault.lower(), "keys": [key.name], **({"import": True} if imports else {})}
    how = ", to be imported by the operator" if imports else ""
    return Need(f"key {key.name} of vault {key.vault}{how}", "vaults", entry, allowed)


def _resource_group(place: ContainerGroup) -> Need:
    id_ = f"/subscriptions/{place.subscription_id}/resourceGroups/{place.resource_group}"

    def allowed(grant: GrantSpec) -> bool:
        whole = place.subscription_id.lower() in {entry.lower() for entry in grant.subscriptions}
        return whole or id_.lower() in {entry.lower() for entry in grant.resource_groups}

    return Need(f"resource group {id_}", "resourceGroups", id_, allowed)
