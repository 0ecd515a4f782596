"""The steps of `csum key approve` and its relatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyMaterial, KeyVault, VaultKey, amend_release_policy
from confidential_summarizer.cli.console import emit, note, warn
from confidential_summarizer.cli.key.review import Approval, dangers, description, difference
from confidential_summarizer.cli.resources import choose_file_system, derive, find_resource
from confidential_summarizer.errors import NotFound
from confidential_summarizer.release import (
    ReleasePolicy,
    add_host_data,
    checked_host_data,
    compare,
    remove_host_data,
)
from confidential_summarizer.targets.target import Derivation

RETRIES = 4
"""A person waits at the command line: let the SDK ride out a short outage."""


@dataclass(frozen=True)
class WantedApproval:
    """What a resource asks the data owner to approve.

    Attributes:
        derivation: The policy as it was derived here, from the images in the registry.
        vault: Host name of the vault.
        key: Name of the key.
        attestation: Host name of the attestation service.
    """

    derivation: Derivation
    vault: str
    key: str
    attestation: str

    @property
    def host_data(self) -> str:
        """SHA-256 of the policy."""
        return self.derivation.policy.host_data


async def wanted_approval(target: str, file_system: str | None, token_file: Path | None) -> WantedApproval:
    """Derive from a resource what there is to approve."""
    resource = await find_resource(target)
    chosen = choose_file_system(resource, file_system).key
    note(f"Measuring the images of {resource.key} in their registry …")
    return WantedApproval(await derive(resource, token_file), chosen.vault, chosen.name, chosen.attestation)


def agree(wanted: WantedApproval, expected: str | None, *, last: Approval | None, yes: bool) -> None:
    """Show what would be approved, and go on only if the data owner agrees.

    Args:
        wanted: What would be approved.
        expected: The only hash that is acceptable, if the data owner named one.
        last: The approval to compare with.
        yes: The data owner agreed beforehand, by naming the hash.

    Raises:
        click.ClickException: The hash is not the expected one.
        click.Abort: The data owner does not agree.
    """
    if yes and expected is None:
        raise click.UsageError("--yes needs --expect-host-data: nobody has looked at the policy otherwise.")
    note("The policy allows:")
    for line in description(wanted.derivation):
        note(f"  {line}")
    if last is not None:
        changes = difference(last, wanted.derivation)
        outcome = "changed:" if changes else "nothing changed."
        note(f"Since the approval of {last.time} ({last.host_data[:12]}…) {outcome}")
        for line in changes:
            note(f"  {line}")
    for danger in dangers(wanted.derivation):
        warn(danger)
    note(f"host-data {wanted.host_data}")
    if expected is not None and checked_host_data(expected) != wanted.host_data:
        raise click.ClickException(
            f"the policy's host-data is not the expected {expected}: nothing was approved. "
            "An image, a setting or the resource differs."
        )
    if not yes:
        click.confirm(f"Let key {wanted.key} out to such groups?", abort=True, err=True)


async def get(vault: str, name: str) -> VaultKey:
    """Return a key.

    Raises:
        NotFound: There is none of that name.
    """
    async with credential() as identity, KeyVault(vault, identity, retries=RETRIES) as client:
        found = await client.get(name)
    if found is None:
        raise NotFound(f"Key {name} in {vault}: there is no such key. Import it with `csum key import`.")
    return found


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
