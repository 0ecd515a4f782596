"""Results for the owner: each encrypted to their age key, which the policy pins, and signed by the group.

Storage sees neither text nor names. Encryption says nothing about who encrypted: the recipient's key is public. So each
result carries a signature of the group's channel key and the evidence that names this key; `csum results` checks both
(docs/reference/results.md).
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Protocol

import pyrage

from summarizer.channel import ChannelKey
from summarizer.errors import Busy, EvidenceError, OutputError
from summarizer.evidence import EvidenceDesk

FORMAT: Final = "confidential-summarizer result 1"
# What a signature of a result begins with. Longer than the random bytes of a TLS client, with which the same key signs.
CONTEXT: Final = b"confidential-summarizer result 1, signed by the group that made it\n\0"
# A summary of at most 1000 words, a name and a token have a few ten KiB.
_MAX_BYTES: Final = 1024 * 1024


class Blobs(Protocol):
    """Where results are written."""

    def put(self, name: str, data: bytes) -> None:
        """Write a blob whole; raises OutputError."""

    def names(self) -> frozenset[str]:
        """Return the names of the blobs that are there; raises OutputError."""


class Results(Protocol):
    """What the worker hands results to."""

    def write(self, content_sha256: str, number: int, result: dict[str, Any]) -> None:
        """Write the result of document `number`, from 1; raises OutputError."""

    def finished(self, content_sha256: str, numbers: Sequence[int]) -> frozenset[int]:
        """Return which of these documents have a result; raises OutputError."""


@dataclass
class SealedResults:
    """Encrypts, signs and writes.

    Attributes:
        blobs: Where to.
        recipient: The owner's age public key, `age1…`.
        key: The group's channel key.
        desk: Where evidence of this key comes from; None where there is no attestation service.
    """

    blobs: Blobs
    recipient: str
    key: ChannelKey
    desk: EvidenceDesk | None
    _evidence: dict[str, str] | None = None
    _lock: Lock = field(default_factory=Lock)

    def write(self, content_sha256: str, number: int, result: dict[str, Any]) -> None:
        """Write a result; whether a second one goes over the first is for `blobs` to say."""
        text = json.dumps(result | {"contentSHA256": content_sha256, "number": number}, sort_keys=True)
        document = {
            "format": FORMAT,
            "result": text,
            "key": base64.b64encode(self.key.spki).decode(),
            "signature": base64.b64encode(self.key.sign(CONTEXT + text.encode())).decode(),
            "evidence": self._vouched(number),
        }
        sealed = pyrage.encrypt(json.dumps(document).encode(), [pyrage.x25519.Recipient.from_str(self.recipient)])
        if len(sealed) > _MAX_BYTES:
            raise OutputError(f"result {number} has {len(sealed)} bytes, more than {_MAX_BYTES}: ask for fewer words")
        try:
            self.blobs.put(result_name(content_sha256, number), sealed)
        except OutputError as error:
            raise OutputError(f"result {number} cannot be written: {error}") from None

    def finished(self, content_sha256: str, numbers: Sequence[int]) -> frozenset[int]:
        """Return which documents have a result, by the names of the blobs that are there."""
        names = self.blobs.names()
        return frozenset(number for number in numbers if result_name(content_sha256, number) in names)

    def _vouched(self, number: int) -> dict[str, str] | None:
        with self._lock:
            if self._evidence is None and self.desk is not None:
                try:
                    self._evidence = self.desk.evidence(secrets.token_urlsafe(32)).document()
                except (Busy, EvidenceError) as error:
                    raise OutputError(f"result {number} has no evidence of this group yet: {error}") from None
            return self._evidence


def result_name(content_sha256: str, number: int) -> str:
    """Return a result's name: the same at each try, without the document's name or anything of its text."""
    return hashlib.sha256(f"{FORMAT}\0{content_sha256}\0{number}".encode()).hexdigest() + ".age"
