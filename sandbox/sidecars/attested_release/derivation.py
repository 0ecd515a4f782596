"""From a released key to the 32 bytes that open a file system: HKDF-SHA256 (RFC 5869) where the key is RSA."""

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from attested_release.errors import ReleaseError
from attested_release.released_key import ReleasedKey

DEFAULT_LABEL = "Symmetric Encryption Key"
KEY_BYTES = 32


def file_system_key(released: ReleasedKey, salt: bytes, label: str) -> bytes:
    """Return the key of a file system.

    Args:
        released: An `oct` key is taken as it is; an RSA key's private exponent goes through HKDF.
        salt: For HKDF; may be empty.
        label: HKDF's info; empty means the sidecar's default.

    Raises:
        ReleaseError: The key has another type or length.
    """
    if released.kty == "oct":
        if len(released.secret) != KEY_BYTES:
            raise ReleaseError(f"the released oct key has {len(released.secret)} bytes, not {KEY_BYTES}")
        return released.secret
    key = released.private_key()
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ReleaseError(f"a file system's key is not derived from a key of type {released.kty}")
    return derive(key, salt, label)


def derive(key: rsa.RSAPrivateKey, salt: bytes, label: str) -> bytes:
    """Return 32 bytes derived from the private exponent: big endian, no leading zeros, as the key has it."""
    exponent = key.private_numbers().d
    material = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    return HKDF(SHA256(), KEY_BYTES, salt, (label or DEFAULT_LABEL).encode()).derive(material)
