"""`csum key`: the keys of sealed file systems, and which groups they are let out to."""

import asyncio
from pathlib import Path

import click

from confidential_summarizer.cli.console import emit, note, output_option, warn
from confidential_summarizer.cli.key.approval import (
    add,
    agree,
    document,
    get,
    import_key,
    recover_key,
    remove,
    report,
    wanted_approval,
)
from confidential_summarizer.cli.key.files import OCT, RSA, describe_file, key_material, write_new_key
from confidential_summarizer.cli.key.review import Approvals
from confidential_summarizer.hosts import checked_attestation
from confidential_summarizer.release import DEFAULT_LABEL, build, checked_host_data, weaknesses

_path = click.Path(path_type=Path)
_vault_option = click.option("--vault", required=True, help="Host name of the vault, without https://.")
_token_option = click.option("--token-file", type=_path, help="File with the readers' token, if the resource has one.")
_kty_option = click.option(
    "--kty", type=click.Choice([OCT, RSA]), default=OCT, show_default=True, help="RSA-HSM for a Key Vault Premium."
)


@click.group()
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
@click.option("--vault", help="Host name of the vault, without https://.  [default: as the resource says]")
@click.option("--key", "key_file", type=_path, required=True, help="The file that `csum seal` or `csum key new` wrote.")
@click.option("--attestation", multiple=True, help="Attestation service whose tokens are believed.")
@click.option("--host-data", multiple=True, help="Policy hash to let the key out to, checked elsewhere.")
@click.option("--for", "resource_text", help="File or NAMESPACE/NAME of the resource: names, vault and hash are its.")
@click.option("--file-system", help="Which of the resource's file systems.  [default: the documents]")
@click.option("--immutable", is_flag=True, help="Fix the release policy for ever.")
@click.option("--yes-forever", is_flag=True, help="Confirm --immutable: nobody can change the policy again.")
@click.option("--yes", is_flag=True, help="Do not ask; needs --expect-host-data with --for.")
@click.option("--expect-host-data", help="The hash that --for has to give.")
@_kty_option
@_token_option
@output_option
def import_(
    name: str | None,
    name_option: str | None,
    vault: str | None,
    key_file: Path,
    attestation: tuple[str, ...],
    host_data: tuple[str, ...],
    resource_text: str | None,
    file_system: str | None,
    immutable: bool,
    yes_forever: bool,
    yes: bool,
    expect_host_data: str | None,
    kty: str,
    token_file: Path | None,
    output: str,
) -> None:
    """Import a key under NAME, bound to the groups that it is let out to."""
    if bool(host_data) == bool(resource_text):
        raise click.UsageError("Give either --host-data, or --for.")
    if immutable != yes_forever:
        raise click.UsageError(
            "An immutable policy needs both --immutable and --yes-forever: no later policy can then be approved, "
            "not even for a fixed bug."
        )
    material = key_material(key_file, kty)
    name, authorities, hashes = name or name_option, [checked_attestation(a) for a in attestation], list(host_data)
    wanted = None
    if resource_text is not None:
        wanted = asyncio.run(wanted_approval(resource_text, file_system, token_file))
        name, vault = name or wanted.key, vault or wanted.vault
        authorities = authorities or [wanted.attestation]
        agree(wanted, expect_host_data, last=None, yes=yes)
        hashes = [wanted.host_data]
    if name is None or vault is None or not authorities:
        raise click.UsageError("Give NAME, --vault and --attestation, or --for a resource that has them.")
    imported = asyncio.run(import_key(vault, name, material, build(hashes, authorities), immutable=immutable))
    if wanted is not None:
        Approvals(vault, name).record(wanted.derivation)
    emit(document(imported), output)


@key.command()
@click.argument("target", required=False)
@click.option("--file-system", help="Which of the resource's file systems.  [default: the documents]")
@click.option("--vault", help="Host name of the vault.  [default: as the resource says]")
@click.option("--name", help="Name of the key.  [default: as the resource says]")
@click.option("--attestation", multiple=True, help="Attestation service.  [default: as the resource or the key says]")
@click.option("--host-data", help="Approve this hash, checked elsewhere; without TARGET.")
@click.option("--expect-host-data", help="Refuse any other hash than this.")
@click.option("--yes", is_flag=True, help="Do not ask; needs --expect-host-data.")
@_token_option
@output_option
def approve(
    target: str | None,
    file_system: str | None,
    vault: str | None,
    name: str | None,
    attestation: tuple[str, ...],
    host_data: str | None,
    expect_host_data: str | None,
    yes: bool,
    token_file: Path | None,
    output: str,
) -> None:
    """Let a key out to the groups of TARGET, a resource's file or NAMESPACE/NAME.

    The policy is derived here from the images in the registry; what it allows is shown, and what changed since the
    last approval, before anything is approved.
    """
    if (target is None) == (host_data is None):
        raise click.UsageError("Give either TARGET, or --host-data with --vault and --name.")
    wanted = None
    if target is not None:
        wanted = asyncio.run(wanted_approval(target, file_system, token_file))
        vault, name = vault or wanted.vault, name or wanted.key
        present = asyncio.run(get(vault, name))
        admitted = present.release_policy.host_data if present.release_policy else ()
        agree(wanted, expect_host_data, last=Approvals(vault, name).last(admitted), yes=yes)
        attestation = attestation or (wanted.attestation,)
        host_data = wanted.host_data
    if vault is None or name is None or host_data is None:
        raise click.UsageError("--host-data needs --vault and --name.")
    authorities = [checked_attestation(authority) for authority in attestation]
    before, after = asyncio.run(add(vault, name, host_data, authorities))
    if wanted is not None:
        Approvals(vault, name).record(wanted.derivation)
    report(vault, name, before, after, output)


@key.command()
@click.argument("name")
@_vault_option
@click.option("--host-data", required=True, help="The hash to admit no longer.")
@output_option
def revoke(name: str, vault: str, host_data: str, output: str) -> None:
    """Let the key NAME out to a policy no longer; groups that have the key keep it until they end."""
    before, after = asyncio.run(remove(vault, name, host_data))
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
