"""`csum results`: what the group wrote for the owner, listed, fetched, decrypted and checked."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyrage
from azure.core.credentials import AzureNamedKeyCredential

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.results import BlobFolder
from confidential_summarizer.cli.console import SentenceGroup, emit, note, output_option, warn
from confidential_summarizer.cli.expectation import Expected
from confidential_summarizer.cli.push import account_key, account_key_option, open_blob
from confidential_summarizer.cli.resources import choose_file_system, find_resource, resource_name
from confidential_summarizer.errors import IntegrityError, SealingError, SpecError
from confidential_summarizer.evidence import signing_keys
from confidential_summarizer.evidence.result import LARGEST_RESULT, Origin, Result
from confidential_summarizer.sealing import create_key_file, is_private

_BLOB_NAME = re.compile(r"[0-9a-f]{64}\.age")
_LONGEST_NAME = 100
"""Characters kept of a document's name; file systems end at 255 bytes."""
_AT_ONCE = 16
"""Results that are read at a time: of an archive there are thousands, and each takes a round trip to storage."""


@dataclass(frozen=True)
class Fetched:
    """What became of one blob.

    Attributes:
        blob: Its name below the prefix.
        result: The decrypted result; None where it was refused.
        problem: Why it was refused; empty where it was not.
    """

    blob: str
    result: Result | None
    problem: str = ""


_file_system_option = click.option("--file-system", help="Which of the resource's.  [default: the documents]")


@click.group(cls=SentenceGroup)
def results() -> None:
    """Results that a group wrote for the owner: `output` of their file system."""


@results.command(name="new-key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--create-container", "prefix", help="Also create the blob container of this output.blobPrefix.")
@account_key_option
@output_option
def new_key(file: Path, prefix: str | None, account_key_file: Path | None, output: str) -> None:
    """Write a new age key to FILE, and print the recipient for `output`; `age` and `rage` read FILE as well."""
    if prefix is not None:
        asyncio.run(_create_container(BlobURL.parse(prefix), account_key_file))
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    create_key_file(file, f"# public key: {recipient}\n{identity}\n".encode())
    emit({"key": str(file), "recipient": recipient}, output)
    note(f"Keep {file} safe: without it nobody, you included, can read the results.")


async def _create_container(prefix: BlobURL, account_key_file: Path | None) -> None:
    async with open_blob(prefix, account_key_file) as blob:
        await blob.create_container()


@results.command(name="list")
@click.argument("target")
@_file_system_option
@account_key_option
@output_option
def list_results(target: str, file_system: str | None, account_key_file: Path | None, output: str) -> None:
    """List the blobs of TARGET: the URL of a blob prefix, or a resource's file or NAMESPACE/NAME."""
    emit(asyncio.run(_list(target, file_system, account_key_file)), output)


async def _list(target: str, file_system: str | None, account_key_file: Path | None) -> dict[str, Any]:
    prefix = await _prefix(target, file_system)
    async with _folder(prefix, account_key_file) as folder:
        found = [f"{b.name}  {b.size} bytes  {b.modified.isoformat()}" async for b in folder.blobs()]
    return {"prefix": str(prefix), "blobs": found}


@results.command()
@click.argument("target")
@click.option(
    "--identity", "identity_file", type=click.Path(path_type=Path), required=True, help="The owner's age key file."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory for the results.")
@click.option("--host-data", multiple=True, help="Policy hash of the group.  [default: what you approved here]")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="File with the group's policy.")
@click.option("--attestation", help="Attestation service that vouches for the group.  [default: the approved one]")
@_file_system_option
@click.option("--unverified", is_flag=True, help="Do not check which group a result is of: anybody can have made it.")
@account_key_option
@output_option
@click.pass_context
def fetch(
    context: click.Context,
    target: str,
    identity_file: Path,
    out: Path,
    host_data: tuple[str, ...],
    policy_file: Path | None,
    attestation: str | None,
    file_system: str | None,
    unverified: bool,
    account_key_file: Path | None,
    output: str,
) -> None:
    """Fetch the results of TARGET (the URL of a blob prefix, a resource's file or NAMESPACE/NAME) into a directory.

    A result is written only if it decrypts and is of a group with a policy that you approved on this machine for the
    resource (`csum key approve`), or that --host-data or --policy names. Exit code 6 says that a blob was refused.
    """
    identities = read_identities(identity_file)
    origin = None if unverified else asyncio.run(_origin(target, host_data, policy_file, attestation))
    fetched = asyncio.run(_fetch(target, file_system, account_key_file, identities, origin))
    written = [str(_write(out, one.result)) for one in fetched if one.result is not None]
    refused = {one.blob: one.problem for one in fetched if one.problem}
    emit({"written": written, "refused": refused if output != "table" else len(refused)}, output)
    for blob, problem in refused.items():
        warn(f"{blob} was not written: {problem}.")
    if unverified:
        warn("Nobody checked where these results come from: whoever writes to storage can have made them.")
    if refused:
        context.exit(6)


def read_identities(file: Path) -> list[pyrage.x25519.Identity]:
    """Read a key file of `csum results new-key` or `age-keygen`.

    Raises:
        SealingError: It cannot be read, or holds no key.
    """
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SealingError(f"Key file {file} cannot be read. Give the file of `csum results new-key`.") from None
    if not is_private(file):
        warn(f"{file} can be read by other users of this machine: chmod 600 {file}")
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError:
        identities = []
    if not identities:
        raise SealingError(f"Key file {file} holds no AGE-SECRET-KEY-1… line. Give the file of `csum results new-key`.")
    return identities


async def _origin(target: str, host_data: Sequence[str], policy_file: Path | None, attestation: str | None) -> Origin:
    """Return the group that results have to be of, as the owner names it and never as the cluster does."""
    if policy_file is not None:
        expected = await asyncio.to_thread(Expected.policy, policy_file)
    elif host_data:
        expected = Expected.hashes(host_data)
    elif _is_url(target):
        raise click.UsageError("Say which group: by --host-data, --policy, or a resource in place of the URL.")
    else:
        expected = Expected.approved(await resource_name(target))
    expected = expected.closed()
    authority = attestation or expected.attestation
    if not authority:
        raise click.UsageError("Give --attestation: nothing on this machine says which attestation service to believe.")
    async with AttestationService(authority) as service:
        return Origin(authority, expected.host_data, signing_keys(await service.signing_keys()))


async def _fetch(
    target: str,
    file_system: str | None,
    account_key_file: Path | None,
    identities: Sequence[pyrage.x25519.Identity],
    origin: Origin | None,
) -> list[Fetched]:
    async with _folder(await _prefix(target, file_system), account_key_file) as folder:
        names = [blob.name async for blob in folder.blobs()]
        fetched: list[Fetched] = []
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            fetched += await asyncio.gather(*(_fetched(folder, name, identities, origin) for name in some))
        return fetched


async def _fetched(
    folder: BlobFolder, name: str, identities: Sequence[pyrage.x25519.Identity], origin: Origin | None
) -> Fetched:
    if not _BLOB_NAME.fullmatch(name):
        return Fetched(name, None, "no group gives a result this name")
    blob = await folder.read(name, LARGEST_RESULT + 1)
    if len(blob) > LARGEST_RESULT:
        return Fetched(name, None, f"it is larger than {LARGEST_RESULT} bytes")
    try:
        result = Result.open(blob, identities)
        result.check(name, origin)
    except IntegrityError as error:
        return Fetched(name, None, str(error))
    return Fetched(name, result)


def _write(out: Path, result: Result) -> Path:
    """Write a result under a name that its document's name cannot lead astray."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    content, number = str(result.fields["contentSHA256"]), int(result.fields["number"])
    plain = re.sub(r"[^\w.-]+", "_", str(result.fields.get("document", "")), flags=re.ASCII).strip("._")
    file = out / f"{content[:12]}-{number:04}-{plain[:_LONGEST_NAME]}.json"
    text = json.dumps(result.fields, indent=2, ensure_ascii=False) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    return file


async def _prefix(target: str, file_system: str | None) -> BlobURL:
    if _is_url(target):
        return BlobURL.parse(target)
    resource = await find_resource(target)
    chosen = choose_file_system(resource, file_system)
    if chosen.output is None:
        raise SpecError(f"{resource.key} writes no results of {chosen.name}: that file system has no output.")
    return BlobURL.parse(chosen.output.blob_prefix)


def _is_url(target: str) -> bool:
    return target.startswith("https://")


@asynccontextmanager
async def _folder(prefix: BlobURL, account_key_file: Path | None) -> AsyncIterator[BlobFolder]:
    key = account_key(account_key_file)
    if key is not None:
        async with BlobFolder(prefix, AzureNamedKeyCredential(prefix.account, key)) as folder:
            yield folder
    elif prefix.sas is not None:
        async with BlobFolder(prefix, None) as folder:
            yield folder
    else:
        async with credential() as identity, BlobFolder(prefix, identity) as folder:
            yield folder
