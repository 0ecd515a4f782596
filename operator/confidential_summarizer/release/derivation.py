"""From an RSA key in Key Vault Premium to the 32 bytes that open a sealed image.

Key Vault Premium holds no symmetric keys, so the encfs sidecar derives one: HKDF-SHA256 over the RSA key's private
exponent. Microsoft's import tool invents a random salt where none is given, while the sidecar takes an empty one; such
an image never opens. Here the salt is always explicit and always recorded.
"""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from confidential_summarizer.errors import ReleasePolicyError

DEFAULT_LABEL = "Symmetric Encryption Key"
"""HKDF's info where the sidecar's arguments name none."""

KEY_BYTES = 32
"""The passphrase of the LUKS key slot, in bytes."""

SALT_BYTES = 32
"""As long as SHA-256's output, which is what RFC 5869 recommends."""


@dataclass(frozen=True)
class KeyDerivation:
    """Salt and label, as the sidecar's `key_derivation` takes them. Neither is secret.

    Attributes:
        salt: Hex digits, an even number of them.
        label: HKDF's info.
    """

    salt: str
    label: str = DEFAULT_LABEL

    def __post_init__(self) -> None:
        try:
            bytes.fromhex(self.salt)
        except ValueError:
            raise ReleasePolicyError(
                f"The derivation salt {self.salt!r} is no hex text; give the salt that was printed with the key."
            ) from None
        if not self.salt:
            raise ReleasePolicyError("The derivation salt is empty; give the salt that was printed with the key.")

    @classmethod
    def fresh(cls, label: str = DEFAULT_LABEL) -> "KeyDerivation":
        """Return a derivation with a new random salt."""
        return cls(salt=secrets.token_hex(SALT_BYTES), label=label)

    def to_document(self) -> dict[str, str]:
        """Return the JSON object of the sidecar's `key_derivation`."""
        return {"salt": self.salt, "label": self.label}


def derive_key(key: RSAPrivateKey, derivation: KeyDerivation) -> bytes:
    """Return the 32-byte key that the sidecar derives from a released RSA key.

    The input of HKDF is the private exponent D, big-endian and without leading zero bytes, exactly as the key file has
    it: implementations differ in whether D is reduced, so it must never be recomputed.
    """
    exponent = key.private_numbers().d
    material = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    hkdf = HKDF(SHA256(), KEY_BYTES, bytes.fromhex(derivation.salt), derivation.label.encode())
    return hkdf.derive(material)
