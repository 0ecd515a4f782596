"""The vault as `csum key` uses it, one call at a time."""

from collections.abc import Sequence

from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.azure.vault import KeyMaterial, VaultKey, amend_release_policy
from confidential_summarizer.cli.console import emit, note
from confidential_summarizer.errors import NotFound
from confidential_summarizer.release import (
    ReleasePolicy,
    add_host_data,
    checked_host_data,
    compare,
    remove_host_data,
)

RETRIES = 4
"""A person waits at the command line: let the SDK ride out a short outage."""


async def get(vault: str, name: str) -> VaultKey:
    """Return a key.

    Raises:
        NotFound: There is none of that name.
    """
    found = await find(vault, name)
    if found is None:
        raise NotFound(f"Key {name} in {vault}: there is no such key. Import it with `csum key import`.")
    return found


async def find(vault: str, name: str) -> VaultKey | None:
    """Return a key, None where there is none of that name."""
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        return await client.get(name)


async def import_key(
    vault: str, name: str, material: KeyMaterial, policy: ReleasePolicy, *, immutable: bool
) -> VaultKey:
    """Import key material under a release policy."""
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        return await client.import_key(name, material, policy, immutable=immutable)


async def recover_key(vault: str, name: str) -> None:
    """Bring a deleted key back."""
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        await client.recover(name)


async def add(vault: str, name: str, host_data: str, authorities: Sequence[str]) -> tuple[ReleasePolicy, ReleasePolicy]:
    """Admit a hash; return the release policy before and after."""
    checked_host_data(host_data)
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        return await amend_release_policy(client, name, lambda policy: add_host_data(policy, host_data, authorities))


async def remove(vault: str, name: str, host_data: str) -> tuple[ReleasePolicy, ReleasePolicy]:
    """Admit a hash no longer; return the release policy before and after."""
    checked_host_data(host_data)
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        return await amend_release_policy(client, name, lambda policy: remove_host_data(policy, host_data))


def document(found: VaultKey) -> dict[str, object]:
    """Return what is known of a key, as data; the vault never gives the key itself."""
    policy = found.release_policy
    return {
        "id": found.id,
        "kty": found.kty,
        "enabled": found.enabled,
        "deleted": found.deleted,
        "exportable": found.exportable,
        "immutable": found.immutable,
        "authorities": list(policy.authorities) if policy else [],
        "hostData": list(policy.host_data) if policy else [],
        "claims": sorted({str(c) for rule in policy.rules for c in rule.other_conditions}) if policy else [],
    }


def report(vault: str, name: str, before: ReleasePolicy, after: ReleasePolicy, output: str) -> None:
    """Say what became of the release policy."""
    changes = compare(before, after).lines()
    for line in changes or ("The release policy was so already; nothing was written.",):
        note(line)
    emit({"vault": vault, "key": name, "changed": bool(changes), "hostData": list(after.host_data)}, output)
