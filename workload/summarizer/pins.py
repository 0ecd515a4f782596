"""What the policy says about a file system's content: one manifest, or whatever its owner signs from a version on.

The signature is the file `.csum-signature` at the root, which the content manifest does not cover, in the form of
`csum seal --sign` (docs/reference/content-manifest.md):

    confidential-summarizer content 1
    content-key Ed25519 public key of the owner, its 32 bytes in standard base64
    file-system NAME
    version N
    sha256 SHA-256 of the content manifest, 64 lower-case hexadecimal digits
    signature Ed25519 signature of the lines before, in standard base64
"""

import base64
import re
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from summarizer.errors import ContentError

SIGNATURE_NAME: Final = b".csum-signature"
# A signature has a few hundred bytes.
LARGEST_SIGNATURE: Final = 1024
_FORM: Final = re.compile(
    rb"(?P<signed>confidential-summarizer content 1\n"
    rb"content-key (?P<key>[A-Za-z0-9+/]{43}=)\n"
    rb"file-system (?P<name>[a-z0-9][-a-z0-9]{0,62})\n"
    rb"version (?P<version>[1-9][0-9]{0,15})\n"
    rb"sha256 (?P<sha256>[0-9a-f]{64})\n)"
    rb"signature (?P<signature>[A-Za-z0-9+/]{86}==)\n"
)


class Pin(Protocol):
    """What content has to be."""

    def check(self, sha256: str, signature: bytes | None, what: str, count: int) -> int | None:
        """Compare with what was read.

        Args:
            sha256: SHA-256 of the content manifest.
            signature: The signature file, if there is one.
            what: What to call the content in messages: `the documents`.
            count: How many files it has.

        Returns:
            The version, if the content is signed.

        Raises:
            ContentError: It is not what the policy says. No message holds a digest that was found: pages without a
                token show it, and a digest confirms a guess.
        """


@dataclass(frozen=True)
class DigestPin:
    """Exactly these files.

    Attributes:
        sha256: SHA-256 of their content manifest.
    """

    sha256: str

    def check(self, sha256: str, signature: bytes | None, what: str, count: int) -> None:
        """Compare the manifest; a signature beside it changes nothing."""
        if sha256 != self.sha256:
            raise ContentError(
                f"{what} are {count} files that differ from what the policy pins: one is missing, extra or changed. "
                "Restore the blob, or seal again and pin the contentSHA256 that `csum seal` prints"
            )


@dataclass(frozen=True)
class SignedPin:
    """Whatever the owner signed for this file system, from a version on.

    Attributes:
        key: The owner's Ed25519 public key, its 32 bytes in standard base64.
        min_version: The oldest version that is taken.
        name: Name of the file system.
    """

    key: str
    min_version: int
    name: str

    def check(self, sha256: str, signature: bytes | None, what: str, count: int) -> int:
        """Verify the signature, then what it says."""
        if signature is None:
            raise ContentError(f"{what} are not signed: seal them with `csum seal --sign`, or restore the blob")
        match = _FORM.fullmatch(signature)
        if match is None:
            raise ContentError(f"the signature of {what} is malformed: seal again, or restore the blob")
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.key))
            key.verify(base64.b64decode(match["signature"]), match["signed"])
        except (ValueError, InvalidSignature):
            raise ContentError(
                f"{what} are not signed by the contentKey that the policy pins: seal them with the owner's key, or "
                "restore the blob"
            ) from None
        if match["name"].decode() != self.name:
            raise ContentError(
                f"{what} are signed for another file system than {self.name}: seal them with --file-system {self.name}"
            )
        version = int(match["version"])
        if version < self.min_version:
            raise ContentError(
                f"{what} are version {version}, older than minVersion {self.min_version} of the policy: storage serves "
                "an old image; push the current one"
            )
        if match["sha256"].decode() != sha256:
            raise ContentError(
                f"{what} are {count} files that differ from what their owner signed as version {version}: one is "
                "missing, extra or changed. Restore the blob, or seal again"
            )
        return version
