"""Access tokens of the sandbox's tenant: signed here, checked by the other stand-ins."""

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from azure_sandbox.azure.principals import Principal
from azure_sandbox.certificates import private_pem
from azure_sandbox.encoding import integer_to_base64url, to_base64url
from azure_sandbox.names import TENANT
from azure_sandbox.state import locked, write_private

ISSUER = f"https://sts.windows.net/{TENANT}/"
"""Version 1 tokens: what Azure's storage, vault and management take, and what Azurite's `--oauth basic` looks for."""

LIFETIME = 3599
"""Seconds; the service draws 60 to 90 minutes."""

KEY_BITS = 2048


class TokenRejected(Exception):
    """A bearer token that does not prove who calls; the message says why, without any part of the token."""


@dataclass(frozen=True)
class AccessToken:
    """A signed token and when it ends, in seconds since 1970."""

    value: str
    expires_on: int


@dataclass(frozen=True)
class Caller:
    """Who a checked token speaks for."""

    client_id: str
    object_id: str


class SigningKey:
    """An RSA key that outlives the process.

    Args:
        path: PEM file; made at first use, closed to other users.
    """

    def __init__(self, path: Path) -> None:
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                write_private(path, private_pem(rsa.generate_private_key(65537, KEY_BITS)))
        # Our own file: checking the primes of a key that was made here takes longer than most requests.
        key = serialization.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} holds no RSA key: remove it to make a new one")
        self.private = key
        self.public = key.public_key()
        der = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        self.id = to_base64url(digest.finalize())

    def jwk(self) -> dict[str, Any]:
        """The public key as a JSON web key."""
        numbers = self.public.public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": integer_to_base64url(numbers.n),
            "e": integer_to_base64url(numbers.e),
        }


class Tokens:
    """Issues and checks the tenant's access tokens.

    Args:
        key: The tenant's signing key.
    """

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    def issue(self, principal: Principal, audience: str) -> AccessToken:
        """Sign a token of `principal` for `audience`."""
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "appid": principal.client_id,
            "appidacr": "1" if principal.secret else "2",
            "idp": ISSUER,
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": TENANT,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if principal.resource_id:
            claims |= {"xms_mirid": principal.resource_id, "xms_az_rid": principal.resource_id}
        value = jwt.encode(claims, self.key.private, algorithm="RS256", headers={"kid": self.key.id})
        return AccessToken(value, now + LIFETIME)

    def check(self, token: str, audiences: Collection[str]) -> Caller:
        """Return whom a token speaks for.

        Args:
            token: The bearer token.
            audiences: Those the service answers to; a trailing slash makes no difference.

        Raises:
            TokenRejected: Signature, issuer, audience or times are wrong.
        """
        accepted = [form for audience in audiences for form in (audience, f"{audience}/")]
        try:
            claims = jwt.decode(token, self.key.public, algorithms=["RS256"], audience=accepted, issuer=ISSUER)
        except jwt.InvalidAudienceError as error:
            raise TokenRejected(f"AKV10022: Invalid audience. Expected {min(audiences)}.") from error
        except jwt.ExpiredSignatureError as error:
            raise TokenRejected("AKV10000: The token has expired.") from error
        except jwt.InvalidTokenError as error:
            raise TokenRejected(f"AKV10000: The token is not valid: {type(error).__name__}.") from error
        return Caller(claims["appid"], claims["oid"])


def bearer(authorization: str | None) -> str | None:
    """Return the token of an Authorization header, or None if it carries none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
