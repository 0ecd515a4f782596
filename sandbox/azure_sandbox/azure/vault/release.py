"""Secure key release: an attested token in, the key under the token's wrapping key out, signed by the vault."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.tokens import SigningKey
from azure_sandbox.azure.vault.keys import Key, KeyVersion, Vault
from azure_sandbox.azure.vault.material import WRAP_HASHES, wrap
from azure_sandbox.azure.vault.release_policy import parse_policy, satisfied
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.encoding import from_base64, to_base64url

DEFAULT_WRAP = "CKM_RSA_AES_KEY_WRAP"
ATTESTATION_ZONE = ".attest.azure.net"
SIGNER_BITS = 2048


class Releaser:
    """Decides and wraps.

    Args:
        attestation: The key that attestation tokens are signed with; every authority of the zone has this one.
        authority: Signs the certificate that the answer is signed with.
    """

    def __init__(self, attestation: SigningKey, authority: CertificateAuthority) -> None:
        self.attestation = attestation
        self.authority = authority

    def release(self, vault: Vault, key: Key, version: KeyVersion, request: Mapping[str, Any], api: str) -> str:
        """Return the compact JWS that carries the wrapped key.

        Args:
            vault: Where the key lives; its host name is in the signer's certificate.
            key: The key.
            version: Which version leaves.
            request: `target` (the token), and optionally `enc` and `nonce`.
            api: The request's api-version, repeated in the answer.

        Raises:
            ServiceError: 400 for a request that cannot be met, 403 when the policy says no.
        """
        _check_usable(key, version)
        algorithm = request.get("enc") or DEFAULT_WRAP
        if algorithm not in WRAP_HASHES:
            raise ServiceError(400, "BadParameter", f"enc has to be one of {', '.join(WRAP_HASHES)}.")
        claims = self._claims(request.get("target"))
        if key.release_policy is None or not satisfied(parse_policy(from_base64(key.release_policy["data"])), claims):
            raise _forbidden("Target environment attestation does not meet key release policy requirements.")
        wrapping_key = _wrapping_key(claims)
        ciphertext = wrap(version.kty, version.fields, wrapping_key, algorithm)
        wrapped = {
            "schema_version": "1.0",
            "header": {"kid": wrapping_key.get("kid", ""), "alg": "dir", "enc": algorithm},
            "ciphertext": to_base64url(ciphertext),
        }
        asked = {"api-version": api, "enc": algorithm, "kid": vault.key_id(key), "nonce": request.get("nonce")}
        bundle = vault.bundle(key, version)
        bundle["key"]["key_hsm"] = to_base64url(json.dumps(wrapped).encode())
        payload = {
            "request": {name: value for name, value in asked.items() if value is not None},
            "response": {"key": bundle},
        }
        return self._sign(vault.host, payload)

    def _claims(self, target: object) -> dict[str, Any]:
        if not isinstance(target, str) or not target:
            raise ServiceError(400, "BadParameter", "Property target with the attestation token is missing.")
        try:
            claims: dict[str, Any] = jwt.decode(
                target, self.attestation.public, algorithms=["RS256"], options={"require": ["iss", "exp", "nbf"]}
            )
        except jwt.InvalidTokenError as error:
            cause = type(error).__name__
            raise _forbidden(f"Target environment attestation statement cannot be verified ({cause}).") from error
        host = str(claims["iss"]).removeprefix("https://")
        if not host.endswith(ATTESTATION_ZONE) or "/" in host:
            raise _forbidden("Target environment attestation statement has no attestation authority as issuer.")
        return claims

    def _sign(self, host: str, payload: Mapping[str, Any]) -> str:
        octets = self.authority.leaf(host, rsa_bits=SIGNER_BITS).read_bytes()
        # Our own file: checking the primes of a key that was made here takes longer than signing with it.
        key = serialization.load_pem_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("the vault's signing certificate holds no RSA key")
        chain = x509.load_pem_x509_certificates(octets)
        thumbprint = to_base64url(chain[0].fingerprint(hashes.SHA256()))
        headers = {
            "kid": thumbprint,
            "x5t#S256": thumbprint,
            "x5c": [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain],
        }
        return jwt.PyJWS().encode(json.dumps(payload).encode(), key, algorithm="RS256", headers=headers)


def _check_usable(key: Key, version: KeyVersion) -> None:
    if not version.enabled:
        text = "Operation release is not allowed on a disabled key."
        raise ServiceError(403, "Forbidden", text, inner="KeyDisabled")
    now = time.time()
    if (version.not_before or 0) > now or (version.expires or now + 1) < now:
        text = "Operation release is not allowed on a key that is not yet valid, or that has expired."
        raise ServiceError(403, "Forbidden", text, inner="KeyNotYetValid")
    if not key.exportable:
        raise ServiceError(400, "BadParameter", "Operation release is not allowed on a key that is not exportable.")


def _wrapping_key(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    runtime = claims.get("x-ms-runtime")
    keys = runtime.get("keys") if isinstance(runtime, Mapping) else None
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, Mapping) and "encrypt" in key.get("key_ops", ()):
            return key
    raise ServiceError(400, "BadParameter", "The token's x-ms-runtime holds no key with the operation encrypt.")


def _forbidden(message: str) -> ServiceError:
    return ServiceError(403, "Forbidden", message, inner="AccessDenied")
