"""`csum push`: sealed images into blob storage."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
from azure.core.credentials import AzureNamedKeyCredential

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import BlobState, SealedBlob
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.cli.console import emit, note, output_option, progress_bar, warn
from confidential_summarizer.errors import NotFound, SpecError
from confidential_summarizer.sealing import ContentRecord, read_header

ACCOUNT_KEY_VARIABLE = "AZURE_STORAGE_KEY"
"""As the Azure CLI calls it."""

SAS_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"
"""As the Azure CLI calls it."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

account_key_option = click.option(
    "--account-key-file",
    type=click.Path(path_type=Path),
    help=f"File with the storage account's key; else ${ACCOUNT_KEY_VARIABLE}, ${SAS_VARIABLE}, or your identity.",
)


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--overwrite", is_flag=True, help="Replace another blob of this name.")
@click.option("--create-container", is_flag=True, help="Create the blob container if it does not exist yet.")
@click.option("--sas", "sas_duration", help="Print a URL that lets its holder read the blob for a time, such as 7d.")
@account_key_option
@output_option
def push(
    image: Path,
    url: str,
    overwrite: bool,
    create_container: bool,
    sas_duration: str | None,
    account_key_file: Path | None,
    output: str,
) -> None:
    """Push a sealed IMAGE to the blob URL, or go on where an interrupted push ended.

    Prints the URL to put into the resource.
    """
    record = ContentRecord.read(image, read_header(image).uuid)
    content_sha256 = None if record is None else record.content_sha256
    duration = None if sas_duration is None else parse_duration(sas_duration)
    address = BlobURL.parse(url)
    state, shared = asyncio.run(
        _push(image, address, content_sha256, overwrite, create_container, duration, account_key_file)
    )
    document = blob_document(state)
    if shared is not None:
        document["sharedURL"] = shared
        note("The shared URL is a secret as long as it is valid: whoever has it can read the (encrypted) image.")
    emit(document, output)


async def _push(
    image: Path,
    url: BlobURL,
    content_sha256: str | None,
    overwrite: bool,
    create_container: bool,
    duration: timedelta | None,
    account_key_file: Path | None,
) -> tuple[BlobState, str | None]:
    async with open_blob(url, account_key_file) as blob:
        if create_container:
            await blob.create_container()
        with progress_bar() as tell:
            state = await blob.push(
                image,
                content_sha256=content_sha256,
                overwrite=overwrite,
                progress=lambda done, total: tell("pushing", done, total),
            )
        return state, None if duration is None else await blob.share(duration)


async def blob_head(url: str, account_key_file: Path | None, length: int) -> tuple[BlobState, bytes]:
    """Return a blob as the service describes it, and its first bytes.

    Raises:
        NotFound: There is no such blob.
    """
    async with open_blob(BlobURL.parse(url), account_key_file) as blob:
        state = await blob.state()
        if state is None:
            raise NotFound(f"Blob {blob.url}: there is no such blob. Push the image, or correct the URL.")
        return state, await blob.head(length)


def parse_duration(text: str) -> timedelta:
    """Read a time such as 30m, 12h or 7d.

    Raises:
        SpecError: The text is no such time.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text.strip())
    if match is None:
        raise SpecError(f"Duration {text!r} is not understood: write it like 30m, 12h or 7d.")
    return int(match[1]) * _UNITS[match[2]]


@asynccontextmanager
async def open_blob(url: BlobURL, account_key_file: Path | None) -> AsyncIterator[SealedBlob]:
    """Open a blob with the account's key, a SAS or the identity that is signed in, the first that there is."""
    key, signed = account_key(account_key_file), _with_sas(url)
    if key is not None:
        async with SealedBlob(url, AzureNamedKeyCredential(url.account, key)) as blob:
            yield blob
    elif signed.sas is not None:
        async with SealedBlob(signed, None) as blob:
            yield blob
    else:
        async with credential() as identity, SealedBlob(url, identity) as blob:
            yield blob


def _with_sas(url: BlobURL) -> BlobURL:
    """Return the URL with the SAS of the environment, unless it has one of its own."""
    if url.sas is not None:
        warn(
            "Other users of this machine can read the SAS in the list of processes while this runs. Put it into "
            f"${SAS_VARIABLE} instead."
        )
        return url
    sas = os.environ.get(SAS_VARIABLE, "").strip().removeprefix("?")
    return replace(url, sas=sas or None)


def account_key(file: Path | None) -> str | None:
    """Return the storage account's key from its file or the environment; None where neither has one.

    Raises:
        SpecError: The file cannot be read.
    """
    if file is None:
        return os.environ.get(ACCOUNT_KEY_VARIABLE) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SpecError(f"Account key file {file} cannot be read.") from None


def blob_document(state: BlobState) -> dict[str, object]:
    """Return what is known of a blob, as data."""
    return {
        "url": state.url,
        "size": state.size,
        "sha256": state.sha256,
        "contentSHA256": state.content_sha256,
        "etag": state.etag,
        "modified": state.modified.isoformat(),
    }
