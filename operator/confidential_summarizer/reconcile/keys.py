"""Phases: see to it that every key admits the group's policy before the rollout, and only that one after it."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from confidential_summarizer.api.file_systems import FileSystem, KeyDeletionPolicy, KeyManagement, KeyType
from confidential_summarizer.api.names import ADOPT_KEY_ANNOTATION, USE_LABEL
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import ConditionType, KeyTrust, Trust
from confidential_summarizer.azure.keys import KeyMaterial, Vault, VaultKey, amend_release_policy
from confidential_summarizer.blueprint import is_debug
from confidential_summarizer.errors import AccessDenied, KeyNotOwned, SpecError
from confidential_summarizer.kube import NAMESPACE
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.reconcile.key_tags import (
    CONSENT_TAG,
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
from confidential_summarizer.release import ReleasePolicy, add_host_data, admits, build, remove_host_data

KEY_BYTES = 32
"""Length of an oct-HSM key that the sidecar takes as it is."""


async def release_keys(context: Context) -> Outcome:
    """Import or update the keys that the operator manages; wait for the data owner where they do."""
    trust: list[KeyTrust] = []
    for file_system in context.resource.spec.file_systems:
        async with context.clients.vaults(file_system.key.vault) as vault:
            key = await _managed(context, vault, file_system)
            refusal = _refusal(context, file_system, key)
        if refusal is not None:
            return Outcome(context.with_(keys=trust), [refusal], waits=True)
        assert key is not None  # noqa: S101 - a missing key is a refusal
        trust.append(_trust(file_system, key))
    message = "; ".join(f"{f.key.name} in {f.key.vault}" for f in context.resource.spec.file_systems)
    return Outcome(
        context.with_(keys=trust),
        [Finding.true(ConditionType.KEY_RELEASABLE, Reason.ADMITTED, f"the policy is admitted by {message}")],
    )


async def retire_policies(context: Context) -> Outcome:
    """After the rollout, take the older policies that were added for this resource out of its keys again."""
    trust = list(context.keys)
    owner = await _owner(context)
    for index, file_system in enumerate(context.resource.spec.file_systems):
        if file_system.key.management is not KeyManagement.IMPORT:
            continue
        async with context.clients.vaults(file_system.key.vault) as vault:
            key = await vault.get(file_system.key.name)
            if key is None or not owned(key, owner):
                continue
            ours = added(key, owner)
            if all(hash_ == context.host_data for hash_ in ours):
                continue
            tags = with_added(key, owner, [h for h in ours if h == context.host_data])
            await _retire(vault, key, [h for h in ours if h != context.host_data], tags)
            key = await vault.get(file_system.key.name)
        if key is not None:
            trust[index] = _trust(file_system, key)
    return Outcome(context.with_(keys=trust))


async def dispose_of_keys(context: Context, *, granted: bool) -> None:
    """Do with this resource's imported keys what their deletion policy says; no other key is touched.

    Args:
        context: The resource and the edges.
        granted: Whether it may use what its spec names; if not, only vaults that status knows a key in are asked.
    """
    owner = await _owner(context)
    known = {urlsplit(key.id).hostname for key in (context.resource.status.trust or Trust()).keys}
    for file_system in context.resource.spec.file_systems:
        key = file_system.key
        if key.management is not KeyManagement.IMPORT or key.deletion_policy is KeyDeletionPolicy.RETAIN:
            continue
        if not granted and key.vault.lower() not in known:
            continue
        async with context.clients.vaults(key.vault) as vault:
            found = await vault.get(key.name)
            if found is None or found.deleted or not owned(found, owner):
                continue
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


async def _owner(context: Context) -> Owner:
    metadata = context.resource.metadata
    try:
        namespace = await context.clients.kube.get(NAMESPACE, metadata.namespace, metadata.namespace)
    except AccessDenied:
        namespace = None
    return Owner(context.resource, str(namespace["metadata"]["uid"]) if namespace else "")


async def _managed(context: Context, vault: Vault, file_system: FileSystem) -> VaultKey | None:
    """Return the key as it is after the operator has done its part.

    Raises:
        KeyNotOwned: The key has to be amended, and is not this resource's.
    """
    resource, name = context.resource, file_system.key.name
    key = await vault.get(name)
    if file_system.key.management is KeyManagement.EXTERNAL:
        return key
    if key is None:
        return await _imported(context, vault, file_system)
    if (
        key.deleted
        or not key.enabled
        or key.release_policy is None
        or context.host_data in key.release_policy.host_data
    ):
        return key
    owner = await _owner(context)
    if not owned(key, owner) and not adoptable(key, resource, file_system.key.vault):
        raise KeyNotOwned(_not_owned(resource, file_system))
    tags = with_added(key, owner, [*added(key, owner), context.host_data])
    await amend_release_policy(
        vault,
        name,
        lambda policy: add_host_data(policy, context.host_data, [file_system.key.attestation]),
        tags=tags,
    )
    return await vault.get(name)


def _not_owned(resource: ConfidentialSummarizer, file_system: FileSystem) -> str:
    name, vault = file_system.key.name, file_system.key.vault
    return (
        f"key {name} in {vault} was not imported for {resource.key}, so it is not changed: name another key, or use "
        f"management External. To adopt it: tag it in the vault {CONSENT_TAG}={resource.key}, and "
        f"`kubectl -n {resource.metadata.namespace} annotate csum {resource.metadata.name} "
        f"{ADOPT_KEY_ANNOTATION}={vault}/{name}`"
    )


async def _imported(context: Context, vault: Vault, file_system: FileSystem) -> VaultKey | None:
    reference = file_system.key.secret_ref
    assert reference is not None  # noqa: S101 - a rule of the spec
    content = await secret_value(context, reference.name, reference.key, SecretUse.KEY)
    if content is None:
        return None
    subject = f"Secret {context.resource.metadata.namespace}/{reference.name}, key {reference.key}"
    material = _material(file_system.key.type, content, subject)
    policy = build([context.host_data], [file_system.key.attestation])
    tags = first_tags(await _owner(context), [context.host_data])
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
        private = load_pem_private_key(content, password=None)
    except (TypeError, ValueError):
        private = None
    if not isinstance(private, RSAPrivateKey):
        raise SpecError(f"{subject} holds no RSA key in PEM: create it with --from-file from what `csum key new` wrote")
    return private


def _refusal(context: Context, file_system: FileSystem, key: VaultKey | None) -> Finding | None:
    """Say who has to do what before the key can come out; None if it can."""
    name, vault = file_system.key.name, file_system.key.vault
    if key is None and file_system.key.management is KeyManagement.IMPORT:
        reference = file_system.key.secret_ref
        secret = f"{context.resource.metadata.namespace}/{reference.name if reference else ''}"
        return _no(
            Reason.SECRET_NOT_FOUND,
            f"key {name} is not in {vault}, and Secret {secret} to import it from is missing: create it with "
            f"`kubectl create secret generic … --from-file`, and label it {USE_LABEL}={SecretUse.KEY}",
        )
    if key is None or key.deleted:
        state = "is deleted" if key else "does not exist"
        return _no(
            Reason.KEY_NOT_FOUND,
            f"key {name} in {vault} {state}: the data owner has to run `csum key import {name} --vault {vault} …`, "
            "or recover it",
        )
    if not key.enabled:
        return _no(Reason.KEY_NOT_FOUND, f"key {name} in {vault} is disabled: its owner has to enable it")
    if key.release_policy is None:
        return _no(
            Reason.KEY_NOT_FOUND,
            f"key {name} in {vault} has no release policy and can never leave the vault: import it again with "
            "`csum key import`",
        )
    reason = _admission(context, file_system, key.release_policy)
    if reason is None:
        return None
    if is_debug(context.resource) and _would_admit(context, file_system, key.release_policy):
        return _no(
            Reason.DEBUG_PROFILE_REFUSED,
            f"key {name} in {vault} is only for groups that cannot be debugged, and policy.profile is Debug: use "
            "profile Restricted, or another key for test data",
        )
    return _no(
        Reason.AWAITING_APPROVAL,
        f"key {name} in {vault} does not admit this policy yet ({reason}): the data owner has to run "
        f"`csum key approve {context.resource.key} --expect-host-data {context.host_data}`",
    )


def _admission(context: Context, file_system: FileSystem, policy: ReleasePolicy) -> str | None:
    """Return why the key would not come out, or None if it would."""
    admission = admits(
        policy,
        context.host_data,
        authority=file_system.key.attestation,
        # A group that the host may look into counts as debuggable, whatever the processor says of it.
        debuggable=is_debug(context.resource),
    )
    return None if admission.admitted else admission.reason


def _would_admit(context: Context, file_system: FileSystem, policy: ReleasePolicy) -> bool:
    return admits(policy, context.host_data, authority=file_system.key.attestation).admitted


def _trust(file_system: FileSystem, key: VaultKey) -> KeyTrust:
    admitted = list(key.release_policy.host_data) if key.release_policy else []
    return KeyTrust(file_system=file_system.name, id=key.id, admits=admitted)


def _no(reason: Reason, message: str) -> Finding:
    return Finding.false(ConditionType.KEY_RELEASABLE, reason, message)
