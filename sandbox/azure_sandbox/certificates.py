"""The sandbox's certificate authority: made once, kept, and trusted only by those who set SSL_CERT_FILE to its bundle.

```
ca/
├── ca.key ca.pem   the authority, P-256
├── bundle.pem      the system's authorities and ours
└── leaves/         <name>.pem: private key, certificate and the authority's, as servers load them
```
"""

import datetime as dt
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azure_sandbox.state import locked, write_private

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397
"""The longest that common TLS clients accept for a server (CA/Browser Forum, ballot SC31)."""

COMMON_NAME_LENGTH = 64
"""Upper bound of X.520; clients read the alternative names."""

RENEW_BEFORE = dt.timedelta(days=30)
BACKDATE = dt.timedelta(hours=1)
"""A container's clock may be a little behind the machine's that signed."""

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Azure Linux
    "/etc/ssl/cert.pem",  # macOS, BSD
)

HOST_NAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class CertificateAuthority:
    """Signs whatever the sandbox's services need.

    Args:
        directory: The CA's folder; see `open`.
        key: Its private key.
        certificate: Its self-signed certificate.
    """

    def __init__(self, directory: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.directory = directory
        self.key = key
        self.certificate = certificate

    @classmethod
    def open(cls, directory: Path) -> "CertificateAuthority":
        """Load the authority of a folder, or make one there; processes that come at the same time get the same one."""
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory / "lock"):
            if not (directory / "ca.pem").exists():
                _create(directory)
            if not (directory / "bundle.pem").exists():
                write_private(directory / "bundle.pem", _system_certificates() + (directory / "ca.pem").read_text())
                (directory / "bundle.pem").chmod(0o644)
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{directory / 'ca.key'} holds no elliptic-curve key: remove the folder to make a new CA")
        return cls(directory, key, x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes()))

    @property
    def bundle(self) -> Path:
        """What SSL_CERT_FILE is set to."""
        return self.directory / "bundle.pem"

    @property
    def pem(self) -> str:
        """The authority's own certificate, which servers send along."""
        return _pem(self.certificate)

    def sign(self, names: Sequence[str], public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> x509.Certificate:
        """Return a server certificate.

        Args:
            names: DNS names, the first being the subject; `*.` in front covers one label.
            public_key: The server's.
        """
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(names[0][:COMMON_NAME_LENGTH]))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + dt.timedelta(days=LEAF_DAYS))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )

    def leaf(self, *names: str, rsa_bits: int | None = None) -> Path:
        """Return a file with key, certificate and chain for these names, made at first use and renewed in time.

        Args:
            names: DNS names; the first gives the file its name.
            rsa_bits: Make an RSA key of that size; P-256 when None.

        Raises:
            ValueError: A name is not a DNS name.
        """
        if wrong := [name for name in names if not HOST_NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is not a DNS name; certificates are made for lower-case DNS names")
        stem = names[0].replace("*", "_") + (f".rsa{rsa_bits}" if rsa_bits else "")
        path = self.directory / "leaves" / f"{stem}.pem"
        with locked(self.directory / "lock"):
            if not self._usable(path):
                key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
                certificate = self.sign(names, key.public_key())
                write_private(path, private_pem(key) + _pem(certificate) + self.pem)
        return path

    def _usable(self, leaf: Path) -> bool:
        if not leaf.exists():
            return False
        certificate = x509.load_pem_x509_certificates(leaf.read_bytes())[0]
        return certificate.not_valid_after_utc - RENEW_BEFORE > dt.datetime.now(dt.UTC)


def server_context(authority: CertificateAuthority, serves: Callable[[str], bool]) -> ssl.SSLContext:
    """Return a TLS server context that shows each client a certificate for the name it asked for.

    Args:
        authority: Who signs.
        serves: Whether a server name is one of ours; a handshake for any other ends with `unrecognized_name`.
    """
    known: dict[str, ssl.SSLContext] = {}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        host = (name or "").lower()
        if not HOST_NAME.fullmatch(host) or not serves(host):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if host not in known:
            known[host] = _context(authority.leaf(host))
        connection.context = known[host]
        return None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sni_callback = choose
    return context


def private_pem(key: PrivateKey) -> str:
    """Return a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _context(leaf: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(leaf)
    return context


def _create(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    name = _name("Confidential Summarizer Sandbox CA")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    write_private(directory / "ca.key", private_pem(key))
    write_private(directory / "ca.pem", _pem(certificate))
    (directory / "ca.pem").chmod(0o644)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _system_certificates() -> str:
    for candidate in map(Path, SYSTEM_BUNDLES):
        if candidate.is_file():
            return candidate.read_text().rstrip("\n") + "\n"
    return ""
