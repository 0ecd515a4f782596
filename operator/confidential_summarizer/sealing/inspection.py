"""What an image is and, with its key, what it holds."""

import os
from dataclasses import dataclass
from pathlib import Path

from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.sealing.image import Progress
from confidential_summarizer.sealing.listing import LOST_AND_FOUND, Entry, entries_of
from confidential_summarizer.sealing.luks_header import LuksHeader, read_header
from confidential_summarizer.sealing.opening import opened
from confidential_summarizer.sealing.scratch import Scratch
from confidential_summarizer.sealing.signature import LARGEST_SIGNATURE, SIGNATURE_NAME, ContentSignature
from confidential_summarizer.sealing.tools import run_tool


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        header: The LUKS header.
        size: Bytes of the image.
        obstacles: What keeps the sidecar from opening it.
        entries: Its files, where a key was given.
        signature: The owner's signature inside, where a key was given and there is one.
    """

    header: LuksHeader
    size: int
    obstacles: tuple[str, ...]
    entries: tuple[Entry, ...] | None
    signature: ContentSignature | None = None


def inspect(image: Path, key: bytes | None = None, *, progress: Progress | None = None) -> Inspection:
    """Look at an image; with its key, at the names inside as well.

    Raises:
        SealingError: The file is no LUKS2 image, is damaged, or is not opened by the key.
        IntegrityError: The signature inside is none.
    """
    header, size = read_header(image), image.stat().st_size
    obstacles = header.obstacles()
    if key is None:
        return Inspection(header, size, obstacles, None)
    with opened(image, image.absolute().parent, key, progress) as file:
        found = (entry for entry in entries_of(file) if entry.path != LOST_AND_FOUND)
        entries = sorted(found, key=lambda entry: entry.path)
        signed = [entry for entry in entries if entry.path == SIGNATURE_NAME]
        signature = _signature(file, signed[0]) if signed else None
    return Inspection(header, size, obstacles, tuple(entries), signature)


def _signature(file: Scratch, entry: Entry) -> ContentSignature:
    if entry.size > LARGEST_SIGNATURE:
        raise IntegrityError(f"{SIGNATURE_NAME} has {entry.size} bytes: it is no signature of `csum seal --sign`.")
    output = run_tool(["debugfs", "-R", f"cat {SIGNATURE_NAME}", file.path], descriptors=(file.descriptor,))
    _banner, _, text = output.partition("\n")
    return ContentSignature.parse(os.fsencode(text))
