"""The attestation service's tokens and signing keys.

Sources: RFC 7515 and 7519; Microsoft Azure Attestation signs with RS256 and publishes each key as a certificate (x5c)
under `https://HOST/certs`, at times with the bare RSA numbers (n, e) as well.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

from confidential_summarizer.errors import IntegrityError

ALGORITHM = "RS256"
"""The only one that is believed: a token must not choose how it is checked."""


@dataclass(frozen=True)
class SigningKey:
    """One of the attestation service's keys."""

    id: str
    key: RSAPublicKey


def signing_keys(document: object) -> tuple[SigningKey, ...]:
    """Read the service's JWK set; keys of other kinds than RSA are left out.

    Raises:
        IntegrityError: The document is no JWK set with at least one RSA key.
    """
    entries = document.get("keys") if isinstance(document, Mapping) else None
    found = [
        SigningKey(str(entry["kid"]), key)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and "kid" in entry and (key := _public_key(entry)) is not None
    ]
    if not found:
        raise IntegrityError("The attestation service published no RSA signing key under /certs.")
    return tuple(found)


@dataclass(frozen=True)
class Token:
    """A token's parts, decoded and not yet believed.

    Attributes:
        header: The JOSE header.
        claims: The payload.
        text: The token itself.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Decode a compact JWT.

        Raises:
            IntegrityError: The text is no JWT.
        """
        try:
            decoded = jwt.api_jws.decode_complete(text, options={"verify_signature": False})
            claims = json.loads(decoded["payload"])
            # JSON can name half a character, which could be neither compared as bytes nor shown.
            json.dumps([decoded["header"], claims], ensure_ascii=False).encode()
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise IntegrityError("The evidence's token is no JWT.") from None
        if not isinstance(claims, dict):
            raise IntegrityError("The evidence's token has no claims.")
        return cls(header=decoded["header"], claims=claims, text=text)

    def signed_by(self, keys: tuple[SigningKey, ...]) -> bool:
        """Tell whether the key that the header names signed the token with the one algorithm believed here."""
        if self.header.get("alg") != ALGORITHM:
            return False
        return any(_verifies(self.text, key.key) for key in keys if key.id == self.header.get("kid"))

    def time(self, claim: str) -> datetime | None:
        """Return one of the token's times (`iat`, `nbf`, `exp`), None where it is absent or no number."""
        value = self.claims.get(claim)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError):
            return None


def _verifies(text: str, key: RSAPublicKey) -> bool:
    try:
        jwt.api_jws.decode(text, key=key, algorithms=[ALGORITHM])
    except jwt.PyJWTError:
        return False
    return True


def _public_key(entry: Mapping[str, Any]) -> RSAPublicKey | None:
    try:
        if entry.get("x5c"):
            key = load_der_x509_certificate(base64.b64decode(entry["x5c"][0])).public_key()
        else:
            key = jwt.PyJWK.from_dict(dict(entry), algorithm=ALGORITHM).key
    except (jwt.PyJWTError, InvalidVersion, UnsupportedAlgorithm, ValueError, TypeError, LookupError):
        return None
    return key if isinstance(key, RSAPublicKey) else None
