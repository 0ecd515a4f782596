"""Key material: what a vault takes, what it shows, and what leaves it under a wrapping key."""

import os
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.encoding import from_base64, integer_to_base64url, to_base64url

HSM_SUFFIX = "-HSM"
PUBLIC_FIELDS: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "oct": ()}
PRIVATE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("n", "e", "d", "p", "q", "dp", "dq", "qi"),
    "EC": ("crv", "x", "y", "d"),
    "oct": ("k",),
}
CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

MAX_OCT_BYTES = 64
"""Upper bound in the service's own message for a key of kty oct."""

RSA_SIZES = (2048, 3072, 4096)
WRAPPING_BITS = 2048
AES_KEY_BYTES = 32

WRAP_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "CKM_RSA_AES_KEY_WRAP": hashes.SHA1,
    "RSA_AES_KEY_WRAP_256": hashes.SHA256,
    "RSA_AES_KEY_WRAP_384": hashes.SHA384,
}
"""Hash of OAEP and of its mask function for each `enc`."""


def check_material(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return the private fields of an imported JSON web key, unchanged.

    The private exponent in particular keeps its bytes: a file system key may be derived from them.

    Args:
        jwk: The `key` of the request; its kty with or without `-HSM`.

    Raises:
        ServiceError: 400 BadParameter.
    """
    kind = str(jwk["kty"]).removesuffix(HSM_SUFFIX)
    fields = {name: jwk[name] for name in PRIVATE_FIELDS[kind] if isinstance(jwk.get(name), str)}
    if missing := [name for name in PRIVATE_FIELDS[kind] if name not in fields]:
        raise ServiceError(400, "BadParameter", f"Property {missing[0]} of the {kind} key is missing.")
    try:
        if kind == "oct":
            _check_octets(from_base64(fields["k"]))
        elif kind == "RSA":
            _check_rsa(_rsa_key(fields))
        else:
            _ec_key(fields)
    except (ValueError, KeyError) as error:
        raise ServiceError(400, "BadParameter", f"The {kind} key is not valid.") from error
    return fields


def generate_material(kind: str, size: int | None, curve: str | None) -> dict[str, str]:
    """Return the fields of a new key.

    Args:
        kind: RSA, EC or oct.
        size: Bits of an RSA (2048) or oct (256) key.
        curve: Of an EC key (P-256).

    Raises:
        ServiceError: 400 BadParameter for a size or curve that does not exist.
    """
    if kind == "oct" and (size or 256) in (128, 192, 256):
        return {"k": to_base64url(os.urandom((size or 256) // 8))}
    if kind == "RSA" and (size or RSA_SIZES[0]) in RSA_SIZES:
        numbers = rsa.generate_private_key(65537, size or RSA_SIZES[0]).private_numbers()
        integers = {
            "n": numbers.public_numbers.n,
            "e": numbers.public_numbers.e,
            "d": numbers.d,
            "p": numbers.p,
            "q": numbers.q,
            "dp": numbers.dmp1,
            "dq": numbers.dmq1,
            "qi": numbers.iqmp,
        }
        return {name: integer_to_base64url(number) for name, number in integers.items()}
    if kind == "EC" and (curve or "P-256") in CURVES:
        name = curve or "P-256"
        private = ec.generate_private_key(CURVES[name]).private_numbers()
        public = private.public_numbers
        integers = {"x": public.x, "y": public.y, "d": private.private_value}
        return {"crv": name} | {field: integer_to_base64url(number) for field, number in integers.items()}
    raise ServiceError(400, "BadParameter", "The key size or curve is not supported.")


def public_fields(kind: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return what may be shown of a key."""
    return {name: fields[name] for name in PUBLIC_FIELDS[kind.removesuffix(HSM_SUFFIX)]}


def wrap(kind: str, fields: Mapping[str, str], wrapping_key: Mapping[str, Any], algorithm: str) -> bytes:
    """Return RSA-OAEP(AES key) followed by AES-KWP(key bytes), as PKCS#11's CKM_RSA_AES_KEY_WRAP lays them out.

    Args:
        kind: kty of the key that leaves.
        fields: Its material. An oct key leaves as it is, RSA and EC keys as PKCS#8 DER.
        wrapping_key: Public RSA key as a JSON web key.
        algorithm: A key of `WRAP_HASHES`.

    Raises:
        ServiceError: 400 BadParameter for a wrapping key that is no RSA key of at least 2048 bits.
    """
    try:
        numbers = rsa.RSAPublicNumbers(*(int.from_bytes(from_base64(wrapping_key[name]), "big") for name in "en"))
        public = numbers.public_key()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServiceError(400, "BadParameter", "The wrapping key in the token is no RSA key.") from error
    if public.key_size < WRAPPING_BITS:
        raise ServiceError(400, "BadParameter", f"The wrapping key has fewer than {WRAPPING_BITS} bits.")
    digest = WRAP_HASHES[algorithm]
    aes_key = os.urandom(AES_KEY_BYTES)
    head = public.encrypt(aes_key, padding.OAEP(padding.MGF1(digest()), digest(), None))
    return head + keywrap.aes_key_wrap_with_padding(aes_key, _key_bytes(kind.removesuffix(HSM_SUFFIX), fields))


def _key_bytes(kind: str, fields: Mapping[str, str]) -> bytes:
    if kind == "oct":
        return from_base64(fields["k"])
    key = _rsa_key(fields) if kind == "RSA" else _ec_key(fields)
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _check_octets(octets: bytes) -> None:
    if len(octets) > MAX_OCT_BYTES:
        text = f"k property of oct key is too large, maximum size is {MAX_OCT_BYTES}"
        raise ServiceError(400, "BadParameter", text)
    if not octets:
        raise ValueError("empty")


def _check_rsa(key: rsa.RSAPrivateKey) -> None:
    if key.key_size not in RSA_SIZES:
        raise ServiceError(400, "BadParameter", f"RSA keys have {', '.join(map(str, RSA_SIZES))} bits.")


def _rsa_key(fields: Mapping[str, str]) -> rsa.RSAPrivateKey:
    number = {name: int.from_bytes(from_base64(value), "big") for name, value in fields.items()}
    public = rsa.RSAPublicNumbers(number["e"], number["n"])
    return rsa.RSAPrivateNumbers(
        number["p"], number["q"], number["d"], number["dp"], number["dq"], number["qi"], public
    ).private_key()


def _ec_key(fields: Mapping[str, str]) -> ec.EllipticCurvePrivateKey:
    x, y, d = (int.from_bytes(from_base64(fields[name]), "big") for name in "xyd")
    public = ec.EllipticCurvePublicNumbers(x, y, CURVES[fields["crv"]])
    return ec.EllipticCurvePrivateNumbers(d, public).private_key()
