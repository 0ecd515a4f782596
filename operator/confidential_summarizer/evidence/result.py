"""Results of a group: decrypted by their owner, believed for the group's signature and its evidence.

Written by the group (workload, `summarizer/output.py`); the form is in docs/reference/results.md. Storage holds the
blobs, and the key that they are encrypted to is public: whatever decrypts may still be anybody's.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pyrage
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence.check import Expectation, check
from confidential_summarizer.evidence.document import Evidence
from confidential_summarizer.evidence.token import SigningKey, Token

FORMAT = "confidential-summarizer result 1"
CONTEXT = b"confidential-summarizer result 1, signed by the group that made it\n\0"
"""What a signature of a result begins with, so that no other signature of the same key is one."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

LARGEST_RESULT = 1024 * 1024
"""Bytes of a blob; the group writes no larger one."""

LARGEST_NUMBER = 10**6
"""Of a document; a group reads no more files than a fifth of it."""


@dataclass(frozen=True)
class Origin:
    """Which group a result has to be of.

    Attributes:
        authority: The attestation service's host name or URL.
        host_data: SHA-256 of the policies that are acceptable, 64 hexadecimal digits each.
        keys: The signing keys that the attestation service publishes.
    """

    authority: str
    host_data: Sequence[str]
    keys: tuple[SigningKey, ...]


@dataclass(frozen=True)
class Result:
    """One decrypted result; nothing but its form was checked.

    Attributes:
        text: The JSON text that is signed.
        fields: The same, read.
        key: SubjectPublicKeyInfo of the key that signed, DER.
        signature: ECDSA with SHA-256 over `CONTEXT` and `text`.
        evidence: The evidence that names the key, if there is any.
    """

    text: str
    fields: dict[str, Any]
    key: bytes
    signature: bytes
    evidence: Evidence | None

    @classmethod
    def open(cls, blob: bytes, identities: Sequence[pyrage.x25519.Identity]) -> Self:
        """Decrypt a blob.

        Raises:
            IntegrityError: It is no result, or not encrypted to any of the keys.
        """
        try:
            document = json.loads(pyrage.decrypt(blob, list(identities)))
            text = str(document["result"])
            evidence = document["evidence"]
            fields = json.loads(text)
            if document["format"] != FORMAT or not isinstance(fields, dict):
                raise ValueError
            # JSON can name half a character, which could be written into no file.
            json.dumps(fields, ensure_ascii=False).encode()
            return cls(
                text,
                fields,
                base64.b64decode(document["key"], validate=True),
                base64.b64decode(document["signature"], validate=True),
                None if evidence is None else Evidence.parse(evidence),
            )
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise IntegrityError("it is encrypted to another key") from None
            raise IntegrityError("it is no file of age, or damaged") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise IntegrityError("what is inside is no result of a summarizer") from None

    @property
    def name(self) -> str:
        """The name that the group gives to this result's blob.

        Raises:
            IntegrityError: The result does not say of which content it is.
        """
        content, number = self.fields.get("contentSHA256"), self.fields.get("number")
        # Both become part of a file's name, and with `--unverified` they are anybody's.
        numbered = type(number) is int and 1 <= number <= LARGEST_NUMBER
        if not numbered or not (isinstance(content, str) and _SHA256.fullmatch(content)):
            raise IntegrityError("it does not say of which document it is")
        return hashlib.sha256(f"{FORMAT}\0{content}\0{number}".encode()).hexdigest() + ".age"

    def check(self, name: str, origin: Origin | None) -> None:
        """Check that this is the blob of its name, and of which group it is.

        Args:
            name: The blob's name, below the prefix.
            origin: The group; None to check the name alone.

        Raises:
            IntegrityError: It is not.
        """
        if name != self.name:
            raise IntegrityError("it is the result of another document, put under this name")
        if origin is None:
            return
        self._check_signature()
        if self.evidence is None:
            raise IntegrityError("it comes without evidence of the group that signed it")
        # Evidence ends after hours, results are read for years: what counts is that it was good when it was made.
        made = Token.parse(self.evidence.token).time("nbf") or datetime.now(UTC)
        expectation = Expectation(
            origin.authority, origin.host_data, nonce=None, peer=hashlib.sha256(self.key).hexdigest(), now=made
        )
        failures = check(self.evidence, origin.keys, expectation).failures
        if failures:
            raise IntegrityError("; ".join(f"{failure.name}: {failure.detail}" for failure in failures))

    def _check_signature(self) -> None:
        try:
            key = load_der_public_key(self.key)
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError
            key.verify(self.signature, CONTEXT + self.text.encode(), ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature, UnsupportedAlgorithm):
            raise IntegrityError("its signature is not of the key that it names") from None
