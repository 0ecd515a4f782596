"""`csum key`: the keys of sealed file systems, and which groups they are let out to."""

import asyncio
from pathlib import Path

import click

from confidential_summarizer.cli.approvals import Approvals
from confidential_summarizer.cli.console import SentenceGroup, emit, note, output_option, warn
from confidential_summarizer.cli.key.agreement import Agreement, agree, agreement_options
from confidential_summarizer.cli.key.approval import (
    check_authority,
    check_new,
    check_place,
    other_keys,
    record,
    wanted_approval,
)
from confidential_summarizer.cli.key.files import OCT, RSA, describe_file, key_material, write_new_key
from confidential_summarizer.cli.key.vault import add, document, find, get, import_key, recover_key, remove, report
from confidential_summarizer.cli.resources import readers_token, token_options
from confidential_summarizer.hosts import checked_attestation
from confidential_summarizer.release import DEFAULT_LABEL, build, checked_host_data, weaknesses

_path = click.Path(path_type=Path)
_vault_option = click.option("--vault", required=True, help="Host name of the vault, without https://.")
_kty_option = click.option(
    "--kty", type=click.Choice([OCT, RSA]), default=OCT, show_default=True, help="RSA-HSM for a Key Vault Premium."
)


@click.group(cls=SentenceGroup)
def key() -> None:
    """Keys of sealed file systems, and which groups they are let out to."""


@key.command()
@click.argument("file", type=_path)
@_kty_option
@click.option("--label", default=DEFAULT_LABEL, show_default=True, help="Label of the derivation, for RSA-HSM.")
@output_option
def new(file: Path, kty: str, label: str, output: str) -> None:
    """Write a new key to FILE, for `csum seal --key`.

    For RSA-HSM also FILE.pem, the RSA key to import, from which FILE is derived, and FILE.json, the derivation to put
    into the resource.
    """
    emit(write_new_key(file, kty, label), output)


@key.command()
@click.argument("name", required=False)
@click.option("--vault", help="Host name of the vault, without https://.")
@click.option("--key", "key_file", type=_path, help="Show a key file instead.")
@click.option("--hex", "as_hex", is_flag=True, help="Print the key file's bytes.")
@output_option
def show(name: str | None, vault: str | None, key_file: Path | None, as_hex: bool, output: str) -> None:
    """Show to whom the key NAME in a vault is let out; or a key file, and its bytes only with --hex."""
    if key_file is not None:
        if name is not None or vault is not None:
            raise click.UsageError("Give either NAME and --vault, or --key.")
        emit(describe_file(key_file, as_hex=as_hex), output)
        return
    if name is None or vault is None or as_hex:
        raise click.UsageError("Give NAME and --vault, or --key FILE; --hex is for key files only.")
    found = asyncio.run(get(vault, name))
    emit(document(found), output)
    if found.release_policy is not None:
        for weakness in weaknesses(found.release_policy):
            warn(weakness)


@key.command(name="import")
@click.argument("name", required=False)
@click.option("--name", "name_option", help="The same as NAME.")
@_vault_option
@click.option("--key", "key_file", type=_path, required=True, help="The file that `csum seal` or `csum key new` wrote.")
@click.option(
    "--attestation", multiple=True, required=True, help="Host name of an attestation service that you believe."
)
@click.option("--host-data", multiple=True, help="Policy hash to let the key out to, checked elsewhere.")
@click.option("--for", "resource_text", help="File or NAMESPACE/NAME of the resource: its policy is derived.")
@click.option("--file-system", help="Which of the resource's file systems.  [default: the documents]")
@click.option("--new-version", is_flag=True, help="Replace the key of this name, and all that was approved for it.")
@click.option("--immutable", is_flag=True, help="Fix the release policy for ever.")
@click.option("--yes-forever", is_flag=True, help="Confirm --immutable: nobody can change the policy again.")
@agreement_options
@_kty_option
@token_options
@output_option
def import_(
    name: str | None,
    name_option: str | None,
    vault: str,
    key_file: Path,
    attestation: tuple[str, ...],
    host_data: tuple[str, ...],
    resource_text: str | None,
    file_system: str | None,
    new_version: bool,
    immutable: bool,
    yes_forever: bool,
    agreement: Agreement,
    kty: str,
    token_file: Path | None,
    token_sha256: str | None,
    output: str,
) -> None:
    """Import a key under NAME, bound to the groups that it is let out to.

    Vault and attestation service are yours to name: a resource that asks others is refused.
    """
    if bool(host_data) == bool(resource_text):
        raise click.UsageError("Give either --host-data, or --for.")
    if immutable != yes_forever:
        raise click.UsageError(
            "An immutable policy needs both --immutable and --yes-forever: no later policy can then be approved, "
            "not even for a fixed bug."
        )
    believed = [checked_attestation(host) for host in attestation]
    material = key_material(key_file, kty)
    name, hashes, wanted = name or name_option, list(host_data), None
    if resource_text is not None:
        token = readers_token(token_file, token_sha256)
        wanted = asyncio.run(wanted_approval(resource_text, file_system, token))
        check_place(wanted, vault=vault, key=name)
        check_authority(wanted, believed, "--attestation")
        name, hashes = wanted.key, [wanted.host_data]
    if name is None:
        raise click.UsageError("Give NAME, or --for a resource that has it.")
    check_new(asyncio.run(find(vault, name)), vault, new_version=new_version)
    if wanted is not None:
        agree(wanted, agreement)
    imported = asyncio.run(import_key(vault, name, material, build(hashes, believed), immutable=immutable))
    if wanted is not None:
        record(wanted)
    emit(document(imported), output)


@key.command()
@click.argument("target", required=False)
@click.option("--file-system", help="Which of the resource's file systems.  [default: the documents]")
@click.option("--vault", help="Host name of your vault.  [default: the one of what you approved on this machine]")
@click.option("--name", help="Name of the key.  [default: as the resource says]")
@click.option(
    "--add-authority", multiple=True, help="Host name of an attestation service to believe besides those of the key."
)
@click.option("--host-data", help="Approve this hash, checked elsewhere; without TARGET.")
@agreement_options
@token_options
@output_option
def approve(
    target: str | None,
    file_system: str | None,
    vault: str | None,
    name: str | None,
    add_authority: tuple[str, ...],
    host_data: str | None,
    agreement: Agreement,
    token_file: Path | None,
    token_sha256: str | None,
    output: str,
) -> None:
    """Let a key out to the groups of TARGET, a resource's file or NAMESPACE/NAME.

    The policy is derived here from the images in the registry. What is new since the last approval, what such a group
    can see and what it can send is shown before anything is approved. Another vault than the approved one, an
    attestation service that the key does not believe yet and a policy that lets the host look in end with exit code 6.
    """
    if (target is None) == (host_data is None):
        raise click.UsageError("Give either TARGET, or --host-data with --vault and --name.")
    added = [checked_attestation(host) for host in add_authority]
    if target is None:
        if vault is None or name is None or host_data is None:
            raise click.UsageError("--host-data needs --vault and --name.")
        before, after = asyncio.run(add(vault, name, host_data, added))
        report(vault, name, before, after, output)
        return
    wanted = asyncio.run(wanted_approval(target, file_system, readers_token(token_file, token_sha256)))
    check_place(wanted, vault=vault, key=name)
    present = asyncio.run(get(wanted.vault, wanted.key))
    believed = [*(present.release_policy.authorities if present.release_policy else ()), *added]
    check_authority(wanted, believed, "--add-authority")
    agree(wanted, agreement)
    before, after = asyncio.run(add(wanted.vault, wanted.key, wanted.host_data, [wanted.attestation]))
    record(wanted)
    report(wanted.vault, wanted.key, before, after, output)
    for other in asyncio.run(other_keys(wanted)):
        warn(other)


@key.command()
@click.argument("name")
@_vault_option
@click.option("--host-data", required=True, help="The hash to admit no longer.")
@output_option
def revoke(name: str, vault: str, host_data: str, output: str) -> None:
    """Let the key NAME out to a policy no longer; groups that have the key keep it until they end."""
    before, after = asyncio.run(remove(vault, name, host_data))
    Approvals().forget(vault, name, checked_host_data(host_data))
    report(vault, name, before, after, output)
    if checked_host_data(host_data) in before.host_data:
        note("Groups that already have the key keep it until they end: delete them.")


@key.command()
@click.argument("name")
@_vault_option
def recover(name: str, vault: str) -> None:
    """Bring the deleted key NAME back."""
    asyncio.run(recover_key(vault, name))
    note(f"Key {name} in {vault} is being recovered.")
