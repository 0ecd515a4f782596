"""Sealed file systems: LUKS2 images that the encfs sidecar opens, made and opened again without root.

No device-mapper, no loop device and no mount is used: mke2fs fills a file from a directory, cryptsetup encrypts it
offline, debugfs reads it.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from confidential_summarizer.sealing.content import ContentFile, ContentManifest, read_manifest
from confidential_summarizer.sealing.image import Progress, SealedImage, seal
from confidential_summarizer.sealing.inspection import Inspection, inspect
from confidential_summarizer.sealing.key_file import KEY_BYTES, create_key_file, is_private, new_key, read_key
from confidential_summarizer.sealing.listing import Entry
from confidential_summarizer.sealing.luks_header import (
    LARGEST_HEADER,
    LUKS_MAGIC,
    LuksHeader,
    parse_header,
    read_header,
)
from confidential_summarizer.sealing.opening import unseal
from confidential_summarizer.sealing.record import ContentRecord
from confidential_summarizer.sealing.signature import (
    ContentSignature,
    Signer,
    content_key,
    create_signing_key,
    read_signing_key,
)
from confidential_summarizer.sealing.size import FileSystemPlan, parse_size, plan_file_system

__all__ = [
    "KEY_BYTES",
    "LARGEST_HEADER",
    "LUKS_MAGIC",
    "ContentFile",
    "ContentManifest",
    "ContentRecord",
    "ContentSignature",
    "Ed25519PrivateKey",
    "Entry",
    "FileSystemPlan",
    "Inspection",
    "LuksHeader",
    "Progress",
    "SealedImage",
    "Signer",
    "content_key",
    "create_key_file",
    "create_signing_key",
    "inspect",
    "is_private",
    "new_key",
    "parse_header",
    "parse_size",
    "plan_file_system",
    "read_header",
    "read_key",
    "read_manifest",
    "read_signing_key",
    "seal",
    "unseal",
]
