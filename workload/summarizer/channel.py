"""Where the readers' channel ends: a TLS key that is made in this process, stays in its memory and dies with it."""

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Nobody checks the times: the key is believed for the evidence that names it. So the certificate must not be what ends
# a group that runs for long (RFC 5280 section 4.1.2.5), nor fail where a clock is late.
_NO_END: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_LATE_CLOCK: Final = timedelta(days=1)


@dataclass(frozen=True)
class ChannelKey:
    """An ECDSA key on P-256 and its self-signed certificate.

    Attributes:
        spki_sha256: SHA-256 of the key's SubjectPublicKeyInfo (RFC 5280), 64 hexadecimal digits; evidence names it.
        pem: Private key (PKCS #8) and certificate.
        private: The private key.
    """

    spki_sha256: str
    pem: bytes = field(repr=False)
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def spki(self) -> bytes:
        """The key's SubjectPublicKeyInfo in DER."""
        encoding, spki = serialization.Encoding, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(encoding.DER, spki)

    def sign(self, message: bytes) -> bytes:
        """Sign with ECDSA and SHA-256; the message has to begin with what it is for, because TLS signs as well."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def new_channel_key() -> ChannelKey:
    """Make a key that nothing outside of this process has seen."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "confidential-summarizer")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _LATE_CLOCK)
        .not_valid_after(_NO_END)
        .sign(key, hashes.SHA256())
    )
    encoding, spki = serialization.Encoding, serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(encoding.DER, spki)
    return ChannelKey(hashlib.sha256(public).hexdigest(), private + certificate.public_bytes(encoding.PEM), key)


def memory_file(content: bytes) -> str:
    """Return the path of a file in memory that this process alone can open: OpenSSL reads keys from files only.

    It has no name, so no other container finds it, and it ends with the process.
    """
    descriptor = os.memfd_create("channel", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return f"/proc/self/fd/{descriptor}"
