"""From a directory to a sealed image."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing.content import ContentManifest, read_manifest
from confidential_summarizer.sealing.key_file import KEY_BYTES
from confidential_summarizer.sealing.luks import DATA_OFFSET, encrypt
from confidential_summarizer.sealing.luks_header import LuksHeader, read_header
from confidential_summarizer.sealing.scratch import Scratch, scratch
from confidential_summarizer.sealing.signature import SIGNATURE_NAME, ContentSignature, Signer
from confidential_summarizer.sealing.size import BLOCK, INODE, FileSystemPlan, plan_file_system
from confidential_summarizer.sealing.tools import run_tool

FEATURES = (
    "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,"
    "metadata_csum"
)
"""ext4 features of the image, the same on every machine; every kernel since 3.18 mounts them."""

Progress = Callable[[str, int, int], None]
"""Told what goes on, the bytes done and the bytes in all."""


@dataclass(frozen=True)
class SealedImage:
    """An image that is ready to be pushed.

    Attributes:
        path: The file.
        size: Its length in bytes, a multiple of 512 KiB.
        header: The facts of its LUKS header.
        plan: The file system inside.
        content: The files inside.
        signature: The owner's signature inside; None where it is not signed.
    """

    path: Path
    size: int
    header: LuksHeader
    plan: FileSystemPlan
    content: ContentManifest
    signature: ContentSignature | None = None


def seal(
    directory: Path,
    image: Path,
    key: bytes,
    *,
    size: int | None = None,
    signer: Signer | None = None,
    progress: Progress | None = None,
    before_publishing: Callable[[], None] | None = None,
) -> SealedImage:
    """Seal a directory's content into an encrypted file system.

    Dot-files, permissions, owners and extended attributes are kept. The image appears under its name when it is
    complete and not before; until then neither plain nor cipher text has a name in any directory.
    Two seals of one directory differ in every byte, because each has a random volume key.

    Args:
        directory: What to seal.
        image: The file to write; an older one is replaced.
        key: 32 bytes.
        size: Bytes of the file system; from the content where None.
        signer: Puts the owner's signature into the image.
        progress: Told how far it is.
        before_publishing: Called once the image is complete and has no name yet: the time to keep the key.

    Raises:
        SealingError: The directory cannot be sealed into that place, or a program is missing or failed.
    """
    if len(key) != KEY_BYTES:
        raise SealingError(f"A key has {KEY_BYTES} bytes, this one {len(key)}.")
    tell = progress or _silent
    plan = plan_file_system(directory, size=size)
    target = image.absolute()
    if target.is_relative_to(directory.absolute()):
        raise SealingError(f"{image} lies in the directory that is to be sealed. Write it somewhere else.")
    content = read_manifest(directory)
    signature = None if signer is None else signer.sign(content.sha256)
    with (
        scratch(target.parent, DATA_OFFSET + plan.size) as file,
        scratch(target.parent, DATA_OFFSET) as header,
    ):
        tell("writing the file system", 0, plan.size)
        _make_file_system(directory, file, plan)
        if signature is not None:
            _add_signature(file, signature)
        encrypt(file, header, key, lambda done, total: tell("encrypting", done, total))
        if before_publishing is not None:
            before_publishing()
        file.publish(target)
    tell("encrypting", plan.size, plan.size)
    return SealedImage(target, DATA_OFFSET + plan.size, read_header(target), plan, content, signature)


def _make_file_system(directory: Path, file: Scratch, plan: FileSystemPlan) -> None:
    try:
        run_tool(
            [
                "mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", str(INODE), "-N", str(plan.inodes),
                "-m", "0", "-O", FEATURES, "-E", f"offset={DATA_OFFSET},nodiscard,lazy_itable_init=0",
                "-d", str(directory), file.path, str(plan.size // BLOCK),
            ],
            descriptors=(file.descriptor,),
        )  # fmt: skip
    except SealingError as error:
        if "Could not allocate" in str(error) or "No space" in str(error) or "no free" in str(error):
            raise SealingError(
                f"{directory} does not fit into {plan.size} bytes, it needs about {plan.needed}. "
                f"Leave --size out, or give more ({error})."
            ) from None
        raise


def _add_signature(file: Scratch, signature: ContentSignature) -> None:
    """Write the signature into the plain file system; mke2fs takes all of its files from one directory."""
    with tempfile.NamedTemporaryFile() as source:
        source.write(signature.text)
        source.flush()
        os.fchmod(source.fileno(), 0o644)
        image = f"{file.path}?offset={DATA_OFFSET}"
        command = f'write "{source.name}" {SIGNATURE_NAME}'
        output = run_tool(["debugfs", "-w", "-R", command, image], descriptors=(file.descriptor,))
    if "Allocated inode" not in output:  # debugfs ends with 0 even where it failed
        raise SealingError(f"The signature does not fit into the image: leave --size out, or give more ({output!r}).")


def _silent(_step: str, _done: int, _total: int) -> None:
    return
