"""What a resource asks the data owner to approve, and what stops them before they look at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from confidential_summarizer.api.file_systems import FileSystem, KeyManagement
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.cli.approvals import Approval, Approvals, now
from confidential_summarizer.cli.console import note, warn
from confidential_summarizer.cli.key.vault import get
from confidential_summarizer.cli.resources import choose_file_system, derive, find_resource
from confidential_summarizer.errors import IntegrityError, SummarizerError
from confidential_summarizer.release import admits
from confidential_summarizer.release.grammar import authority_url
from confidential_summarizer.targets.target import Derivation


@dataclass(frozen=True)
class WantedApproval:
    """What a resource asks the data owner to approve.

    Attributes:
        resource: The resource, as the cluster admin wrote it.
        file_system: The one whose key is wanted.
        derivation: The policy as it was derived here, from the images in the registry.
    """

    resource: ConfidentialSummarizer
    file_system: FileSystem
    derivation: Derivation

    @property
    def host_data(self) -> str:
        """SHA-256 of the policy."""
        return self.derivation.policy.host_data

    @property
    def vault(self) -> str:
        """Host name of the vault that its groups will ask."""
        return self.file_system.key.vault

    @property
    def key(self) -> str:
        """Name of the key that its groups will ask for."""
        return self.file_system.key.name

    @property
    def attestation(self) -> str:
        """Host name of the attestation service that its groups will ask."""
        return self.file_system.key.attestation


async def wanted_approval(target: str, file_system: str | None, token: str | None) -> WantedApproval:
    """Derive from a resource what there is to approve.

    Args:
        target: File or NAMESPACE/NAME of the resource.
        file_system: Name of the file system; None for the documents.
        token: SHA-256 of the readers' token, where the resource does not hold it.
    """
    resource = await find_resource(target)
    chosen = choose_file_system(resource, file_system)
    note(f"Measuring the images of {resource.key} in their registry …")
    return WantedApproval(resource, chosen, await derive(resource, token))


def check_place(wanted: WantedApproval, *, vault: str | None, key: str | None) -> None:
    """Hold the resource's vault and key against what the owner names, or else approved before.

    A key in a vault of somebody else believes whom they like, and who is believed with a key vouches for its groups to
    `csum verify`, too.

    Args:
        wanted: What the resource asks for.
        vault: The vault that the owner named; where they named none, that of the key counts, and for a key that was
            never approved here those of all that were.
        key: The key that the owner named, if they did.

    Raises:
        IntegrityError: The resource's groups would ask another vault, or for another key.
    """
    subject = wanted.resource.key
    if key is not None and key != wanted.key:
        raise IntegrityError(f"{subject} asks for key {wanted.key}, and you named {key}: nothing was done.")
    if vault is not None and vault != wanted.vault:
        raise IntegrityError(
            f"{subject} asks vault {wanted.vault} for key {wanted.key}, and you named {vault}: nothing was done. "
            "Let the resource be corrected."
        )
    approvals = Approvals()
    known = {one.vault for one in approvals.of(subject, wanted.key)[-1:] or approvals.all()}
    if vault is None and wanted.vault not in known:
        raise IntegrityError(
            f"{subject} asks vault {wanted.vault} for key {wanted.key}, and what you approved on this machine is in "
            f"{', '.join(sorted(known)) or 'none'}: nothing was done. If that vault is yours: --vault {wanted.vault}"
        )


def check_authority(wanted: WantedApproval, believed: Sequence[str], option: str) -> None:
    """Hold the resource's attestation service against those that the owner believes.

    Args:
        wanted: What the resource asks for.
        believed: Host names or URLs of attestation services.
        option: How the owner names one more.

    Raises:
        IntegrityError: It is none of them.
    """
    if authority_url(wanted.attestation) not in map(authority_url, believed):
        raise IntegrityError(
            f"{wanted.resource.key} lets attestation service {wanted.attestation} vouch for its groups; you believe "
            f"{', '.join(believed) or 'none'}. Whoever sets up an attestation service decides what it says, so "
            f"nothing was done. If you believe this one, too: {option} {wanted.attestation}"
        )


def record(wanted: WantedApproval) -> None:
    """Keep on this machine what was approved: the next approval and `csum verify` compare with it."""
    images = {name: measured.image.pinned for name, measured in wanted.derivation.images.items()}
    policy = wanted.derivation.policy
    Approvals().record(
        Approval(
            resource=wanted.resource.key,
            vault=wanted.vault,
            key=wanted.key,
            attestation=wanted.attestation,
            host_data=policy.host_data,
            policy=policy.text,
            images=images,
            time=now(),
        )
    )


async def other_keys(wanted: WantedApproval) -> tuple[str, ...]:
    """Name the resource's other keys that do not let its groups in yet, each with what to do."""
    found = []
    for other in wanted.resource.spec.file_systems:
        key = other.key
        if key.management is KeyManagement.IMPORT or (key.vault, key.name) == (wanted.vault, wanted.key):
            continue
        command = f"csum key approve {wanted.resource.key} --file-system {other.name}"
        try:
            policy = (await get(key.vault, key.name)).release_policy
        except SummarizerError as error:
            found.append(f"The groups also need the key of {other.name}, which could not be looked at: {error}")
            continue
        if policy is None or not admits(policy, wanted.host_data, authority=key.attestation).admitted:
            found.append(f"The groups also need key {key.name} of {key.vault}, which refuses them: {command}")
    return tuple(dict.fromkeys(found))


def check_new(present: VaultKey | None, vault: str, *, new_version: bool) -> None:
    """Stop an import that would replace a key, unless that is what it is for; say what is lost.

    Raises:
        click.ClickException: The key exists.
    """
    if present is None or present.deleted:
        return
    hashes = present.release_policy.host_data if present.release_policy else ()
    names = {one.host_data: one.resource for one in Approvals().all() if (one.vault, one.key) == (vault, present.name)}
    approved = ", ".join(f"{value[:12]}… ({names.get(value, 'not of this machine')})" for value in hashes)
    lost = (
        f"Key {present.name} of {vault} exists (version {present.id.rpartition('/')[2]}). Importing under its name "
        f"replaces its material, so that new groups cannot open images of the present key, and its release policy, "
        f"which lets it out to: {approved or 'nobody'}."
    )
    if not new_version:
        raise click.ClickException(
            f"{lost} Nothing was changed. To let the key out to another policy: `csum key approve`. For other "
            "material take another name; to replace it all the same: --new-version."
        )
    warn(lost)
