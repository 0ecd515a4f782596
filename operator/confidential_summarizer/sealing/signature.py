"""The owner's signature over the content of a file system whose files change often.

A policy that pins `contentKey` and `minVersion` stays the same when the files change: the owner signs each new content
manifest, and the group takes no other signer's and no older version. The signature lies in the image, as the file
`.csum-signature` at its root, which the manifest does not cover. Its bytes are six lines, the last over the other five:

    confidential-summarizer content 1
    content-key Ed25519 public key of the owner, its 32 bytes in standard base64
    file-system NAME
    version N
    sha256 SHA-256 of the content manifest, 64 lower-case hexadecimal digits
    signature Ed25519 signature in standard base64

The name keeps one file system's content from being served as another's.
"""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from confidential_summarizer.api.file_systems import LARGEST_VERSION
from confidential_summarizer.errors import IntegrityError, SealingError
from confidential_summarizer.sealing.key_file import create_key_file

SIGNATURE_NAME = ".csum-signature"
"""Where the signature lies, at the root of the image."""

LARGEST_SIGNATURE = 1024
"""Bytes; one has a few hundred."""

_FORM = re.compile(
    rb"(?P<signed>confidential-summarizer content 1\n"
    rb"content-key (?P<key>[A-Za-z0-9+/]{43}=)\n"
    rb"file-system (?P<name>[a-z0-9][-a-z0-9]{0,62})\n"
    rb"version (?P<version>[1-9][0-9]{0,15})\n"
    rb"sha256 (?P<sha256>[0-9a-f]{64})\n)"
    rb"signature (?P<signature>[A-Za-z0-9+/]{86}==)\n"
)


@dataclass(frozen=True)
class ContentSignature:
    """What an owner signed.

    Attributes:
        key: Who says to have signed, in the form of `contentKey`.
        file_system: Name of the file system in the resource.
        version: Rises with each change, from 1.
        sha256: SHA-256 of the content manifest, 64 hexadecimal digits.
        text: The whole file.
    """

    key: str
    file_system: str
    version: int
    sha256: str
    text: bytes

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a signature file, and verify it with the key that it names.

        Raises:
            IntegrityError: It has another form, or the signature is not of that key.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise IntegrityError(f"{SIGNATURE_NAME} is not in the form of `csum seal --sign`.")
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(match["key"]))
            key.verify(base64.b64decode(match["signature"]), match["signed"])
        except (ValueError, InvalidSignature):
            raise IntegrityError(f"{SIGNATURE_NAME} is not signed by the key that it names.") from None
        return cls(match["key"].decode(), match["name"].decode(), int(match["version"]), match["sha256"].decode(), text)


@dataclass(frozen=True)
class Signer:
    """How the content of one file system is to be signed.

    Attributes:
        key: The owner's private key.
        file_system: Name of the file system in the resource.
        version: Of the content.
    """

    key: Ed25519PrivateKey
    file_system: str
    version: int

    def sign(self, sha256: str) -> ContentSignature:
        """Sign a content manifest, given its SHA-256.

        Raises:
            SealingError: The name or the version is none.
        """
        lines = (
            "confidential-summarizer content 1",
            f"content-key {content_key(self.key)}",
            f"file-system {self.file_system}",
            f"version {self.version}",
            f"sha256 {sha256}",
        )
        signed = "".join(f"{line}\n" for line in lines).encode()
        signature = base64.b64encode(self.key.sign(signed))
        try:
            if not 1 <= self.version <= LARGEST_VERSION:
                raise IntegrityError("")
            return ContentSignature.parse(signed + b"signature " + signature + b"\n")
        except IntegrityError:
            raise SealingError(
                f"File system {self.file_system!r}, version {self.version} cannot be signed: give the name as in the "
                f"resource, and a version from 1 to {LARGEST_VERSION}."
            ) from None


def content_key(key: Ed25519PrivateKey) -> str:
    """Return the public key in the form of `contentKey`: standard base64 of its 32 bytes."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key, PKCS #8 in PEM without a password.

    Raises:
        SealingError: The file is missing or no such key.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise SealingError(f"Signing key {path}: {error.strerror}.") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SealingError(
            f"Signing key {path} is no Ed25519 key in PEM without a password; `csum seal --sign` writes one to a name "
            "that does not exist yet."
        )
    return key


def create_signing_key(path: Path) -> Ed25519PrivateKey:
    """Write a new signing key with mode 0600, and return it; an existing file is never overwritten.

    Raises:
        SealingError: The file exists or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    create_key_file(path, pem)
    return key
