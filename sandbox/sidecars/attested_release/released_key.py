"""The vault's answer: a signed statement (JWS) that carries the key under the wrapping key.

Formats: `POST /keys/{name}/release`, api-version 7.4; AES key wrap with padding (RFC 5649) behind RSA-OAEP.
"""

import base64
import binascii
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from attested_release.encoding import from_base64url, integer_to_base64url, to_base64url
from attested_release.errors import ReleaseError

OAEP_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1,
    "RSA_AES_KEY_WRAP_256": hashes.SHA256,
    "RSA_AES_KEY_WRAP_384": hashes.SHA384,
}
"""The hash of OAEP and of its MGF1 for each wrapping algorithm."""

JWS_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "RS256": hashes.SHA256,
    "RS384": hashes.SHA384,
    "RS512": hashes.SHA512,
}


@dataclass(frozen=True)
class ReleasedKey:
    """A key that the vault let go.

    Attributes:
        kty: `oct`, `RSA` or `EC`.
        secret: The raw key of an `oct` key; PKCS#8 DER of the others.
        operations: The vault's `key_ops`.
    """

    kty: str
    secret: bytes
    operations: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ReleasedKey({self.kty})"

    def private_key(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        """Return the key pair of an RSA or EC key.

        Raises:
            ReleaseError: The bytes are no such key.
        """
        try:
            key = serialization.load_der_private_key(self.secret, None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ReleaseError(f"the released {self.kty} key is no PKCS#8 key")
        return key

    def jwk(self) -> dict[str, object]:
        """Return the key as a JSON web key (RFC 7517)."""
        operations = {"key_ops": list(self.operations)} if self.operations else {}
        if self.kty == "oct":
            return {"kty": "oct", "k": to_base64url(self.secret), **operations}
        key = self.private_key()
        return {"kty": self.kty, **(_rsa(key) if isinstance(key, rsa.RSAPrivateKey) else _ec(key)), **operations}


def verified(statement: str, host: str) -> dict[str, Any]:
    """Check that a vault signed a statement, and return what it says.

    Args:
        statement: The compact JWS.
        host: Host name of the vault; the signer's certificate has to be for it, below a root that the system trusts.

    Raises:
        ReleaseError: The statement is malformed, or somebody else's.
    """
    parts = statement.split(".")
    if len(parts) != 3:
        raise ReleaseError(f"the answer of {host} is no signed statement of three parts")
    try:
        header, payload = (json.loads(from_base64url(part)) for part in parts[:2])
        signature = from_base64url(parts[2])
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in header["x5c"]]
        key = chain[0].public_key()
        algorithm = JWS_HASHES[header["alg"]]()
    except (ValueError, KeyError, TypeError, IndexError, binascii.Error):
        raise ReleaseError(f"the signed statement of {host} is malformed") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ReleaseError(f"the signed statement of {host} is not signed with an RSA key")
    try:
        key.verify(signature, ".".join(parts[:2]).encode(), padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        raise ReleaseError(f"the signature of the statement of {host} is wrong") from None
    _check_chain(chain, host)
    if not isinstance(payload, dict):
        raise ReleaseError(f"the signed statement of {host} is malformed")
    return payload


def unwrap(payload: dict[str, Any], wrapping_key: rsa.RSAPrivateKey) -> ReleasedKey:
    """Take the key out of a verified statement.

    Raises:
        ReleaseError: It is wrapped in another way or to another key, or is of a type that the sidecars do not know.
    """
    try:
        algorithm = payload["request"]["enc"]
        bundle = payload["response"]["key"]["key"]
        ciphertext = from_base64url(json.loads(from_base64url(bundle["key_hsm"]))["ciphertext"])
        kty, operations = bundle["kty"].removesuffix("-HSM"), tuple(bundle.get("key_ops") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError("the vault's statement holds no wrapped key") from None
    if algorithm not in OAEP_HASHES:
        raise ReleaseError(f"the key is wrapped with {algorithm}, which is not supported")
    if kty not in {"oct", "RSA", "EC"}:
        raise ReleaseError(f"the released key type {kty} is not supported")
    return ReleasedKey(kty, unwrap_bytes(ciphertext, wrapping_key, algorithm), operations)


def unwrap_bytes(ciphertext: bytes, wrapping_key: rsa.RSAPrivateKey, algorithm: str) -> bytes:
    """Return what was wrapped: an AES key under RSA-OAEP, then the content under that AES key.

    Raises:
        ReleaseError: It was wrapped to another key, or with another algorithm.
    """
    split = wrapping_key.key_size // 8
    oaep_hash = OAEP_HASHES[algorithm]
    oaep = padding.OAEP(padding.MGF1(oaep_hash()), oaep_hash(), None)
    try:
        aes_key = wrapping_key.decrypt(ciphertext[:split], oaep)
        return keywrap.aes_key_unwrap_with_padding(aes_key, ciphertext[split:])
    except (ValueError, keywrap.InvalidUnwrap):
        raise ReleaseError("the released key does not unwrap with this release's wrapping key") from None


def _check_chain(chain: Sequence[x509.Certificate], host: str) -> None:
    """Let openssl build the chain to a trusted root; Debian 12's python3-cryptography cannot.

    The last certificate of the statement is left out, as in the real sidecars: the root has to be one of the system's.
    """
    pems = [one.public_bytes(serialization.Encoding.PEM) for one in chain]
    with tempfile.TemporaryDirectory() as folder:
        untrusted = Path(folder) / "intermediates.pem"
        untrusted.write_bytes(b"".join(pems[1:-1]))
        command = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", host]
        if untrusted.stat().st_size:
            command += ["-untrusted", str(untrusted)]
        result = subprocess.run(command, input=pems[0], capture_output=True, check=False, env=dict(os.environ))
    if result.returncode:
        reason = next((line for line in result.stderr.decode(errors="replace").splitlines() if "lookup" in line), "")
        cause = reason.partition("lookup:")[2].strip() or "no chain to a trusted root"
        raise ReleaseError(f"the signer of the key statement is not {host}: {cause}")


def _rsa(key: rsa.RSAPrivateKey) -> dict[str, object]:
    private = key.private_numbers()
    public = private.public_numbers
    numbers = {
        "n": public.n,
        "e": public.e,
        "d": private.d,
        "p": private.p,
        "q": private.q,
        "dp": private.dmp1,
        "dq": private.dmq1,
        "qi": private.iqmp,
    }
    return {name: integer_to_base64url(value) for name, value in numbers.items()}


def _ec(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    private = key.private_numbers()
    public = private.public_numbers
    size = (key.curve.key_size + 7) // 8
    names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "P-256K"}
    numbers = {"x": public.x, "y": public.y, "d": private.private_value}
    coordinates = {name: to_base64url(value.to_bytes(size, "big")) for name, value in numbers.items()}
    return {"crv": names.get(key.curve.name, key.curve.name), **coordinates}
