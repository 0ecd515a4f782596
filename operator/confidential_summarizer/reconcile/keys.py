"""Phases: see to it that every key admits the group's policy before the rollout, and only that one after it."""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from confidential_summarizer.api.file_systems import FileSystem, Key, KeyDeletionPolicy, KeyManagement, KeyType
from confidential_summarizer.api.names import ADOPT_KEY_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.status import KeyTrust
from confidential_summarizer.azure.vault import KeyMaterial, Vault, VaultKey, amend_release_policy
from confidential_summarizer.errors import AccessDenied, KeyNotOwned, SpecError, WaitingError
from confidential_summarizer.kube import NAMESPACE, KubernetesAPI
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.key_checks import KeyFacts, objection
from confidential_summarizer.reconcile.key_tags import (
    ADDED_TAG,
    CONSENT_TAG,
    MOST_TAGS,
    OWNER_TAG,
    Owner,
    added,
    adoptable,
    first_tags,
    owned,
    shared,
    with_added,
    without,
)
from confidential_summarizer.reconcile.secrets import SecretUse, secret_value
from confidential_summarizer.release import ReleasePolicy, add_host_data, build, remove_host_data

KEY_BYTES = 32
"""Length of an oct-HSM key that the sidecar takes as it is."""
RSA_BITS = (2048, 3072, 4096)
"""Lengths of an RSA-HSM key that a vault takes."""


async def release_keys(clients: Clients, resource: ConfidentialSummarizer, host_data: str) -> list[VaultKey]:
    """Import or update the keys that the operator manages, and return them once all of them admit the policy.

    They come in the order of the file systems.

    Raises:
        WaitingError: Somebody has to act before a key comes out, usually the data owner.
        KeyNotOwned: A key has to be amended, and is not this resource's.
    """
    keys = []
    for file_system in resource.spec.file_systems:
        key = await _managed(clients, resource, file_system, host_data)
        objected = objection(KeyFacts(resource, file_system, key, host_data))
        if objected is not None:
            reason, message = objected
            raise WaitingError(message, reason=reason)
        assert key is not None  # noqa: S101 - that would have been an objection
        keys.append(key)
    return keys


async def retire_policies(
    clients: Clients, resource: ConfidentialSummarizer, host_data: str, keys: Sequence[VaultKey]
) -> list[VaultKey]:
    """After the rollout, take the older policies that were added for this resource out of its keys again.

    Args:
        clients: The edges.
        resource: Whose keys.
        host_data: The policy that stays.
        keys: The keys as they were before the rollout, in the order of the file systems; one that admits nothing
            older of ours is not asked for again.

    Returns:
        The keys as they are now.
    """
    return [
        await _retired(clients, resource, file_system, host_data, key)
        for file_system, key in zip(resource.spec.file_systems, keys, strict=True)
    ]


async def _retired(
    clients: Clients, resource: ConfidentialSummarizer, file_system: FileSystem, host_data: str, key: VaultKey
) -> VaultKey:
    settled = key.release_policy is not None and key.release_policy.host_data == (host_data,)
    if file_system.key.management is not KeyManagement.IMPORT or settled:
        return key
    owner = await owner_of(clients.kube, resource.metadata)
    if not _older(key, owner, host_data):
        return key
    vault = clients.vaults(file_system.key.vault)
    # The rollout took its time, and who shares the key may have written to it meanwhile.
    now = await vault.get(key.name)
    if now is None:
        return key
    older = _older(now, owner, host_data)
    if not older:
        return now
    kept = [hash_ for hash_ in added(now, owner) if hash_ not in older]
    await _retire(vault, now, older, with_added(now, owner, kept))
    return await vault.get(key.name) or now


def _older(key: VaultKey, owner: Owner, host_data: str) -> list[str]:
    """Return what a key of the resource admits for it, other than the one policy."""
    return [hash_ for hash_ in added(key, owner) if hash_ != host_data] if owned(key, owner) else []


async def dispose_of_key(clients: Clients, metadata: Metadata, key: Key) -> None:
    """Do with an imported key of a resource that goes what its deletion policy says; no other key is touched."""
    if key.management is not KeyManagement.IMPORT or key.deletion_policy is KeyDeletionPolicy.RETAIN:
        return
    owner = await owner_of(clients.kube, metadata)
    vault = clients.vaults(key.vault)
    found = await vault.get(key.name)
    if found is None or found.deleted or not owned(found, owner):
        return
    if shared(found, owner):
        await _retire(vault, found, added(found, owner), without(found, owner))
    elif key.deletion_policy is KeyDeletionPolicy.DELETE:
        await vault.delete(key.name)
    elif found.enabled:
        await vault.disable(key.name)


async def _retire(vault: Vault, key: VaultKey, hashes: Sequence[str], tags: Mapping[str, str]) -> None:
    def change(policy: ReleasePolicy) -> ReleasePolicy:
        for host_data in hashes:
            policy = remove_host_data(policy, host_data)
        return policy

    await amend_release_policy(vault, key.name, change, tags=tags)


async def owner_of(kube: KubernetesAPI, metadata: Metadata) -> Owner:
    """Return a resource as the owner of keys, with its namespace's UID where that may be read."""
    try:
        namespace = await kube.get(NAMESPACE, metadata.namespace, metadata.namespace)
    except AccessDenied:
        namespace = None
    return Owner(metadata, str(namespace["metadata"]["uid"]) if namespace else "")


async def _managed(
    clients: Clients, resource: ConfidentialSummarizer, file_system: FileSystem, host_data: str
) -> VaultKey | None:
    """Return the key as it is after the operator has done its part.

    Raises:
        KeyNotOwned: The key has to be amended, and is not this resource's.
    """
    name, vault = file_system.key.name, clients.vaults(file_system.key.vault)
    key = await vault.get(name)
    if file_system.key.management is KeyManagement.EXTERNAL:
        return key
    if key is None:
        async with clients.imports[file_system.key.vault.lower()]:
            key = await vault.get(name)
            if key is None:
                return await _imported(clients, resource, vault, file_system, host_data)
    if key.deleted or not key.enabled or key.release_policy is None or host_data in key.release_policy.host_data:
        return key
    owner = await owner_of(clients.kube, resource.metadata)
    if not owned(key, owner) and not adoptable(key, owner, file_system.key.vault):
        raise KeyNotOwned(not_owned(resource, file_system))
    tags = with_added(key, owner, [*added(key, owner), host_data])
    if len(tags) > MOST_TAGS:
        raise WaitingError(
            f"key {name} in {file_system.key.vault} has {len(key.tags)} tags, and a vault keeps {MOST_TAGS} at most: "
            f"take away {OWNER_TAG}UID and {ADDED_TAG}UID of resources that are gone, or name another key"
        )
    await amend_release_policy(
        vault,
        name,
        lambda policy: add_host_data(policy, host_data, [file_system.key.attestation]),
        tags=tags,
    )
    return await vault.get(name)


def not_owned(resource: ConfidentialSummarizer, file_system: FileSystem) -> str:
    """Say that the operator may not change a key for a resource, and how it could."""
    name, vault = file_system.key.name, file_system.key.vault
    return (
        f"key {name} in {vault} was not imported for {resource.key}, so it is not changed: name another key, or use "
        f"management External. To adopt it: `kubectl -n {resource.metadata.namespace} annotate csum "
        f"{resource.metadata.name} {ADOPT_KEY_ANNOTATION}={vault}/{name}`, and, unless another resource of this "
        f"namespace has it, tag it in the vault {CONSENT_TAG}={resource.key}"
    )


async def _imported(
    clients: Clients, resource: ConfidentialSummarizer, vault: Vault, file_system: FileSystem, host_data: str
) -> VaultKey | None:
    reference = file_system.key.secret_ref
    assert reference is not None  # noqa: S101 - a rule of the spec
    content = await secret_value(clients.kube, resource, reference.name, reference.key, SecretUse.KEY)
    if content is None:
        return None
    subject = f"Secret {resource.metadata.namespace}/{reference.name}, key {reference.key}"
    material = _material(file_system.key.type, content, subject)
    policy = build([host_data], [file_system.key.attestation])
    tags = first_tags(await owner_of(clients.kube, resource.metadata), [host_data])
    return await vault.import_key(file_system.key.name, material, policy, tags=tags)


def _material(kind: KeyType, content: bytes, subject: str) -> KeyMaterial:
    """Read key material from a Secret; messages never quote it."""
    if kind is KeyType.OCT_HSM:
        if len(content) != KEY_BYTES:
            raise SpecError(
                f"{subject} holds {len(content)} bytes, but an oct-HSM key has {KEY_BYTES}: create it with --from-file "
                "from the file that `csum seal` wrote"
            )
        return content
    try:
        # Whether it is sound is the vault's to say: of a long one that takes minutes to find out, and everybody waits.
        private = load_pem_private_key(content, password=None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, ValueError):
        private = None
    if not isinstance(private, RSAPrivateKey) or private.key_size not in RSA_BITS:
        raise SpecError(
            f"{subject} holds no RSA key in PEM of {', '.join(map(str, RSA_BITS))} bits: create it with --from-file "
            "from what `csum key new` wrote"
        )
    return private


def key_trust(resource: ConfidentialSummarizer, keys: Sequence[VaultKey]) -> list[KeyTrust]:
    """Return what the status says about the keys."""
    return [
        KeyTrust(
            file_system=file_system.name,
            id=key.id,
            admits=list(key.release_policy.host_data) if key.release_policy else [],
        )
        for file_system, key in zip(resource.spec.file_systems, keys, strict=True)
    ]
