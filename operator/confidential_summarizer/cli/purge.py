"""`csum purge`: erase a sealed blob and its key, and keep a receipt of what is gone and what could not be.

Each step is tried even if the one before it was refused: without the key the blob is noise, and without the blob the
key opens nothing. A refusal is no error here but a line of the receipt, with the service's own code.
"""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import BlobState, OtherState, SealedBlob
from confidential_summarizer.azure.conversion import service_code
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.azure.vault import Vault, VaultKey
from confidential_summarizer.cli.approvals import Approvals
from confidential_summarizer.cli.console import confirm, emit, facts, note, output_option
from confidential_summarizer.cli.key.vault import RETRIES
from confidential_summarizer.cli.push import account_key_option, blob_document, open_blob
from confidential_summarizer.errors import NotFound, SpecError, SummarizerError
from confidential_summarizer.reconcile.key_tags import OWNER_TAG
from confidential_summarizer.sealing import LUKS_MAGIC

FORMAT = "confidential-summarizer purge receipt 1"
NOT_ALL = 1
"""The answer is no: something is left."""

_NOT_COVERED = "Not covered: copies and backups that others made, and what running groups have opened, until they end."


@dataclass(frozen=True)
class Step:
    """What became of one thing.

    Attributes:
        what: The thing, and what was to become of it.
        done: Whether it did.
        time: When that was known (RFC 3339).
        code: The service's own error code, where it refused.
        detail: Why it is left, and until when or what to do; empty where nothing is left.
    """

    what: str
    done: bool
    time: str
    code: str = ""
    detail: str = ""

    def __str__(self) -> str:
        reason = f" ({self.code})" if self.code else ""
        return f"{self.time} {self.what}" if self.done else f"{self.time} NOT {self.what}{reason}: {self.detail}"


@dataclass(frozen=True)
class Found:
    """What there is to erase.

    Attributes:
        blob: The present state of the blob; None where there is none, or none is named.
        others: Its other states; None where they may not be listed.
        key: The key; None where none is named.
    """

    blob: BlobState | None
    others: Sequence[OtherState] | None
    key: VaultKey | None


@click.command()
@click.argument("url", required=False)
@click.option("--key", "key_name", help="Name of the key, to be erased with the blob, or alone without URL.")
@click.option("--vault", help="Host name of the vault that has the key.")
@click.option("--signed-off-by", help="Who orders it, for the receipt.  [default: your user name]")
@click.option(
    "--receipt",
    "receipt_file",
    type=click.Path(path_type=Path),
    help="File for the receipt, which must not exist.  [default: csum-purge-TIME.json]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@account_key_option
@output_option
@click.pass_context
def purge(
    context: click.Context,
    url: str | None,
    key_name: str | None,
    vault: str | None,
    signed_off_by: str | None,
    receipt_file: Path | None,
    yes: bool,
    account_key_file: Path | None,
    output: str,
) -> None:
    """Erase the blob at URL with its snapshots and versions, and its key if one is named, and write a receipt.

    The key is disabled, deleted and purged in all its versions. What storage or the vault keeps back all the same (soft
    delete, retention, legal hold, purge protection, missing rights) stands in the receipt with the service's own code;
    the exit code is 1 then. Nothing is erased that is no sealed image, or a key that an operator manages.
    """
    if (key_name is None) != (vault is None) or (url is None and key_name is None):
        raise click.UsageError("Give URL, or --key and --vault, or all three.")
    address = None if url is None else BlobURL.parse(url)
    file = receipt_file or Path(f"csum-purge-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json")
    receipt = asyncio.run(
        _purge(address, key_name, vault, account_key_file, file, signed_off_by or getpass.getuser(), yes=yes)
    )
    emit(receipt, output, facts({"receipt": receipt["statement"], "file": str(file)}))
    if not receipt["erased"]:
        context.exit(NOT_ALL)


async def _purge(
    url: BlobURL | None,
    key_name: str | None,
    vault_host: str | None,
    account_key_file: Path | None,
    file: Path,
    ordered_by: str,
    *,
    yes: bool,
) -> dict[str, Any]:
    async with _opened(url, account_key_file, vault_host) as (blob, vault):
        found = await _look(blob, vault, key_name)
        for line in _review(found):
            note(line)
        if not yes:
            question = "Erase this for ever? Running groups lose their text when they start anew"
            await asyncio.to_thread(confirm, question, refused="Nothing was erased.", unattended="--yes")
        steps: list[Step] = []
        complete = False
        with _receipt(file) as write:
            try:
                async for step in _erase(blob, vault, found):
                    note(str(step))
                    steps.append(step)
                complete = True
            finally:  # whatever ends it, what is gone is gone
                document = receipt_of(found, steps, ordered_by, complete=complete)
                write(document)
        return document


@asynccontextmanager
async def _opened(
    url: BlobURL | None, account_key_file: Path | None, vault_host: str | None
) -> AsyncIterator[tuple[SealedBlob | None, Vault | None]]:
    async with AsyncExitStack() as stack:
        vault = None
        if vault_host is not None:
            identity = await stack.enter_async_context(credential())
            vault = await stack.enter_async_context(KeyVault(vault_host, identity, retries=RETRIES))
        blob = None if url is None else await stack.enter_async_context(open_blob(url, account_key_file))
        yield blob, vault


async def _look(blob: SealedBlob | None, vault: Vault | None, key_name: str | None) -> Found:
    """Read what there is, and refuse what is not the owner's to erase, as far as can be known.

    Raises:
        NotFound: The blob or the key is not there.
        SpecError: The blob is no sealed image, or an operator manages the key.
    """
    state, others = None, None
    if blob is not None:
        state = await blob.state()
        try:
            others = await blob.other_states()
        except SummarizerError:
            others = None  # said in the receipt, when it is tried again
        if state is None and not others:
            raise NotFound(
                f"Blob {blob.url}: there is no such blob; nothing was erased, the key included. Leave the URL out to "
                "erase the key alone."
            )
        if state is not None and await blob.head(len(LUKS_MAGIC)) != LUKS_MAGIC:
            raise SpecError(f"Blob {blob.url} is no sealed image: nothing was erased. Correct the URL.")
    key = None
    if vault is not None and key_name is not None:
        key = await vault.get(key_name)
        if key is None:
            raise NotFound(f"Key {key_name} in {vault.host}: there is no such key; nothing was erased.")
        if owners := sorted(value.split()[0] for tag, value in key.tags.items() if tag.startswith(OWNER_TAG)):
            raise SpecError(
                f"Key {key_name} in {vault.host} is managed by the operator of {', '.join(owners)}, which would import "
                "it again: nothing was erased. Delete the resource, with key.deletionPolicy Delete."
            )
    return Found(state, others, key)


def _review(found: Found) -> Iterator[str]:
    """Say what would be erased, and who would lose it."""
    if found.blob is not None:
        yield f"blob {found.blob.url}, {found.blob.size} bytes, written {found.blob.modified.isoformat()}"
    if found.others is None and found.blob is not None:
        yield "  (its snapshots and versions may not be listed)"
    for state in found.others or ():
        yield f"  {state}{', deleted already, kept by soft delete' if state.deleted else ''}"
    if found.key is not None:
        policy = found.key.release_policy
        names = {one.host_data: one.resource for one in Approvals().all() if one.key == found.key.name}
        hashes = policy.host_data if policy else ()
        admitted = ", ".join(f"{value[:12]}… ({names.get(value, 'not of this machine')})" for value in hashes)
        yield f"key {found.key.id.rpartition('/')[0]}, all versions, let out to: {admitted or 'nobody'}"


async def _erase(blob: SealedBlob | None, vault: Vault | None, found: Found) -> AsyncIterator[Step]:
    if vault is not None and found.key is not None:
        async for step in _erase_key(vault, found.key):
            yield step
    if blob is not None:
        async for step in _erase_blob(blob, found):
            yield step


async def _erase_key(vault: Vault, key: VaultKey) -> AsyncIterator[Step]:
    name = f"key {key.name} of {vault.host}"
    steps: list[Step] = []
    if not key.deleted:
        steps.append(await _tried(f"{name} disabled", vault.disable(key.name)))
        steps.append(await _tried(f"{name} deleted", vault.delete(key.name)))
    purged = await _tried(f"{name} purged", vault.purge(key.name))
    left = await vault.get(key.name) if not purged.done else None
    if left is not None and left.purge_date is not None:
        until = f"{purged.detail} The vault destroys it by itself on {left.purge_date.isoformat()}."
        purged = Step(purged.what, False, purged.time, purged.code, until)
    for step in steps:
        if step.done or not purged.done:  # what is purged need not be disabled
            yield step
    yield purged


async def _erase_blob(blob: SealedBlob, found: Found) -> AsyncIterator[Step]:
    if found.blob is not None:
        yield await _tried(f"blob {blob.url} deleted with its snapshots", blob.delete())
    try:
        others = await blob.other_states()
    except SummarizerError as error:
        yield Step("snapshots and versions looked for", False, _now(), service_code(error), str(error))
        return
    for state in others:
        if state.version is not None and not state.deleted:
            yield await _tried(f"{state} of the blob deleted", blob.delete_version(state.version))
    for state in await blob.other_states():
        if state.deleted:
            days = "for a time" if state.days is None else f"for {state.days} more days"
            detail = f"soft delete of the account keeps it {days}; whoever may write there can bring it back."
            yield Step(f"{state} of the blob gone for good", False, _now(), detail=detail)
        elif state.snapshot is not None:
            yield Step(f"{state} of the blob deleted", False, _now(), detail="it was kept with the blob.")


async def _tried(what: str, call: Awaitable[object]) -> Step:
    try:
        await call
    except SummarizerError as error:
        return Step(what, False, _now(), service_code(error), str(error))
    return Step(what, True, _now())


def receipt_of(found: Found, steps: Sequence[Step], ordered_by: str, *, complete: bool) -> dict[str, Any]:
    """Return the receipt, as data and in sentences; `complete` says that nothing ended the work before its time."""
    erased = complete and all(step.done for step in steps)
    verdict = "Erased: all that was named." if erased else "NOT all is erased: what is left is named below."
    if not complete:
        verdict = "Interrupted: what is not named below was not tried."
    return {
        "format": FORMAT,
        "time": _now(),
        "orderedBy": ordered_by,
        "blob": None if found.blob is None else blob_document(found.blob),
        "key": None if found.key is None else {"id": found.key.id.rpartition("/")[0]},
        "erased": erased,
        "steps": [asdict(step) for step in steps],
        "statement": [f"Ordered by {ordered_by}. {verdict}", *map(str, steps), _NOT_COVERED],
    }


@contextmanager
def _receipt(file: Path) -> Iterator[Callable[[dict[str, Any]], object]]:
    """Open the receipt before anything is erased; what is given to it is written.

    Raises:
        SpecError: The file is there already, or cannot be written.
    """
    try:
        stream = file.open("x", encoding="utf-8")
    except OSError as error:
        raise SpecError(f"Receipt {file}: {error.strerror}. Nothing was erased; give another --receipt.") from None
    with stream:
        yield lambda document: stream.write(json.dumps(document, indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
