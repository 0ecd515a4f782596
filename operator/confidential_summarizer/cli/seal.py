"""`csum seal`, `csum unseal`, `csum inspect`: the data owner's sealed file systems. Nothing leaves the machine."""

import asyncio
from pathlib import Path

import click

from confidential_summarizer import sealing
from confidential_summarizer.cli.console import emit, note, output_option, progress_bar, warn
from confidential_summarizer.errors import SealingError, SpecError

_LISTED = 5
"""Names shown of a longer list."""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The image to write.  [default: DIRECTORY.img]")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="File with the key, 32 raw bytes; a new key is written there if it does not exist.  [default: OUT.key]",
)
@click.option("--size", help="Size of the file system, such as 64MiB.  [default: the content and room to spare]")
@click.option(
    "--sign",
    "signing_file",
    type=click.Path(path_type=Path),
    help="Sign the content with this Ed25519 key (PEM); a new one is written there if it does not exist.",
)
@click.option("--version", type=click.IntRange(min=1), help="Version of the signed content; let it rise each time.")
@click.option(
    "--file-system", default="documents", show_default=True, help="Name of the file system that it is signed for."
)
@click.option("--force", is_flag=True, help="Replace an existing image.")
@output_option
def seal(
    directory: Path,
    out: Path | None,
    key_file: Path | None,
    size: str | None,
    signing_file: Path | None,
    version: int | None,
    file_system: str,
    force: bool,
    output: str,
) -> None:
    """Seal the content of DIRECTORY into an encrypted image that only an approved group can open.

    With --sign the resource names the signing key (contentKey) and the oldest version (minVersion) instead of the
    files, so that new files need no new approval. Needs mke2fs (e2fsprogs) and cryptsetup, and no root.
    """
    if (signing_file is None) != (version is None):
        raise click.UsageError("--sign and --version go together.")
    image = out if out is not None else directory.absolute().with_name(f"{directory.absolute().name}.img")
    place = key_file if key_file is not None else image.with_name(f"{image.name}.key")
    if image.exists() and not force:
        raise SealingError(f"{image} exists. Choose another name with --out, or replace it with --force.")
    key, is_new = _key(place)
    signer = None
    if signing_file is not None and version is not None:
        signer = sealing.Signer(_signing_key(signing_file), file_system, version)
    kept = False

    def keep_key() -> None:
        nonlocal kept
        if is_new:
            sealing.create_key_file(place, key)
            kept = True

    try:
        with progress_bar() as tell:
            sealed = sealing.seal(
                directory,
                image,
                key,
                size=None if size is None else sealing.parse_size(size),
                signer=signer,
                progress=tell,
                before_publishing=keep_key,
            )
    except BaseException:
        if kept:
            place.unlink(missing_ok=True)
        raise
    emit(
        {
            "image": str(sealed.path),
            "size": sealed.size,
            "content": sealed.plan.content,
            "uuid": sealed.header.uuid,
            "key": str(place),
            "newKey": is_new,
            **_content(sealed),
        },
        output,
    )
    if sealed.plan.unreadable:
        names = ", ".join(sealed.plan.unreadable[:_LISTED])
        warn(
            f"{len(sealed.plan.unreadable)} entries may be read by their owner or group only ({names}); the summarizer "
            "runs as a user of its own and may not be able to read them. chmod o+r them before sealing."
        )
    record = sealing.ContentRecord(sealed.header.uuid, sealed.content.sha256, sealed.signature)
    record.write(sealed.path)
    note(f"Sealed {len(sealed.content.files)} files, {-(-sealed.content.size // 1000)} kB. {_advice(record)}")
    note(f"Keep {place} safe: without it nobody, you included, can read the image.")


def _content(sealed: sealing.SealedImage) -> dict[str, object]:
    """Return the pin of what is inside, how much it is, and who signed it."""
    return {
        "contentSHA256": sealed.content.sha256,
        "fileCount": len(sealed.content.files),
        "fileBytes": sealed.content.size,
        **_signature(sealed.signature),
    }


def _signature(signature: sealing.ContentSignature | None) -> dict[str, object]:
    if signature is None:
        return {}
    return {"contentKey": signature.key, "version": signature.version, "fileSystem": signature.file_system}


def _advice(record: sealing.ContentRecord) -> str:
    """Say what to put into the resource."""
    if record.signature is None:
        return f"To pin them: contentSHA256: {record.content_sha256}"
    signature = record.signature
    return (
        f"Signed as version {signature.version} of {signature.file_system}. In the resource: "
        f"contentKey: {signature.key} and minVersion: {signature.version} or an older one that may still be served."
    )


def _signing_key(place: Path) -> sealing.Ed25519PrivateKey:
    """Return the signing key; a new one where there is none."""
    if not place.exists():
        note(f"A new signing key: {place}. Whoever has it decides which files a group takes.")
        return sealing.create_signing_key(place)
    if not sealing.is_private(place):
        warn(f"{place} can be read by other users of this machine: chmod 600 {place}")
    return sealing.read_signing_key(place)


def _key(place: Path) -> tuple[bytes, bool]:
    """Return the key to use and whether it is a new one."""
    if not place.exists():
        return sealing.new_key(), True
    if not sealing.is_private(place):
        warn(f"{place} can be read by other users of this machine: chmod 600 {place}")
    return sealing.read_key(place), False


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="File with the key.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New or empty directory for the files.")
def unseal(image: Path, key_file: Path, out: Path) -> None:
    """Write the files of a sealed IMAGE into a directory."""
    with progress_bar() as tell:
        sealing.unseal(image, out, sealing.read_key(key_file), progress=tell)
    note(f"Unsealed into {out}.")


@click.command()
@click.argument("image")
@click.option("--key", "key_file", type=click.Path(path_type=Path), help="File with the key, to list what is inside.")
@click.option(
    "--account-key-file", type=click.Path(path_type=Path), help="For a URL: file with the storage account's key."
)
@output_option
@click.pass_context
def inspect(
    context: click.Context, image: str, key_file: Path | None, account_key_file: Path | None, output: str
) -> None:
    """Show what an IMAGE is, whether the sidecar can open it and, with the key, which files it holds.

    IMAGE is a file, or the https URL of a blob, of which only the header is read: nothing authenticates it, so whoever
    writes the blob can change it. Exit code 1 says that the sidecar cannot open the image, or that its header is not as
    `csum seal` made it.
    """
    if image.startswith("https://"):
        if key_file is not None:
            raise click.UsageError("The files of a blob are not listed: download it, and inspect the file with --key.")
        document, obstacles = _inspect_blob(image, account_key_file)
    else:
        document, obstacles = _inspect_file(Path(image), key_file, output)
    emit(document, output)
    if obstacles:
        context.exit(1)


def _inspect_file(image: Path, key_file: Path | None, output: str) -> tuple[dict[str, object], tuple[str, ...]]:
    with progress_bar() as tell:
        found = sealing.inspect(image, sealing.read_key(key_file) if key_file else None, progress=tell)
    document = _header(found.header, found.size)
    record = sealing.ContentRecord.read(image, found.header.uuid)
    if record is not None:
        document["contentSHA256"] = record.content_sha256
    document |= _signature(found.signature or (record.signature if record else None))
    if found.entries is not None:
        entries = [{"path": e.path, "mode": e.mode, "uid": e.uid, "gid": e.gid, "size": e.size} for e in found.entries]
        document["files"] = [str(entry) for entry in found.entries] if output == "table" else entries
    return document, found.obstacles


def _inspect_blob(url: str, account_key_file: Path | None) -> tuple[dict[str, object], tuple[str, ...]]:
    try:
        from confidential_summarizer.cli.push import blob_head
    except ImportError:
        raise SpecError(
            "Looking at a blob needs Azure's packages: pip install 'confidential-summarizer[owner]'"
        ) from None
    state, head = asyncio.run(blob_head(url, account_key_file, sealing.LARGEST_HEADER))
    header = sealing.parse_header(head, state.url)
    said = {"contentSHA256": state.content_sha256, "modified": state.modified.isoformat(), "etag": state.etag}
    return {"url": state.url, **_header(header, state.size), **said}, header.obstacles()


def _header(header: sealing.LuksHeader, size: int) -> dict[str, object]:
    return {
        "uuid": header.uuid,
        "size": size,
        "cipher": header.cipher,
        "sectorSize": header.sector_size,
        "dataOffset": header.offset,
        "keyBits": header.key_bits,
        "keySlots": len(header.key_slots),
        "keyDerivation": ", ".join(slot.kdf for slot in header.key_slots),
        "obstacles": list(header.obstacles()),
    }
