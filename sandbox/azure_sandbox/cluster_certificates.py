"""The control plane's own certificate authority and the certificates it issues.

It is not the authority that the Azure stand-ins use: trusting `management.azure.com` of the sandbox must not make
anybody a cluster admin. File names and subjects are kubeadm's.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from azure_sandbox.state import write_private

CA_LIFETIME = dt.timedelta(days=3650)
LEAF_LIFETIME = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)
"""A leaf with less left than this is issued anew at the next start."""

SERVICE_ADDRESS = "10.96.0.1"
"""The first address of the service range: where pods would find the API server."""

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Leaf:
    """A certificate with its key, as files in PEM form."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class ClusterCertificates:
    """The certificates of one control plane, made at first use in `folder`."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The CA's certificate; API server, kubelet and clients are checked against it."""
        return self._authority().certificate

    def server(self, name: str) -> Leaf:
        """A certificate for a listener on 127.0.0.1, also good for its own outgoing connections."""
        names = [
            x509.DNSName(dns) for dns in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        ]
        addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", SERVICE_ADDRESS)]
        return self._leaf(
            name,
            _subject(name),
            [*names, *addresses],
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        )

    def client(self, user: str, groups: Sequence[str] = ()) -> Leaf:
        """A certificate that the API server takes as `user` in `groups` (common name and organizations)."""
        return self._leaf(_file_name(user), _subject(user, groups), [], [ExtendedKeyUsageOID.CLIENT_AUTH])

    def service_account_keys(self) -> Leaf:
        """The key pair that signs service account tokens: `certificate` is the bare public key."""
        pair = Leaf(self.folder / "sa.pub", self.folder / "sa.key")
        if not pair.key.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            write_private(pair.certificate, public.decode())
            write_private(pair.key, _key_pem(key))
        return pair

    def _authority(self) -> Leaf:
        files = Leaf(self.folder / "ca.crt", self.folder / "ca.key")
        if not files.key.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _subject("sandbox-kubernetes-ca")
            certificate = (
                _builder(name, key, CA_LIFETIME)
                .issuer_name(name)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_key_usage(signs_certificates=True), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .sign(key, hashes.SHA256())
            )
            _write(files, certificate, key)
        return files

    def _leaf(
        self, name: str, subject: x509.Name, names: Sequence[x509.GeneralName], usages: Sequence[x509.ObjectIdentifier]
    ) -> Leaf:
        files = Leaf(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        authority = self._authority()
        if files.key.exists() and _expires(files.certificate) - _now() > RENEW_BEFORE:
            return files
        issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101  (written by _authority)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, key, LEAF_LIFETIME)
            .issuer_name(issuer.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            # Strict verifiers, Python's own from 3.13 on, refuse a certificate that does not point at its issuer's key.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _write(files, builder.sign(issuer_key, hashes.SHA256()), key)
        return files


def _builder(subject: x509.Name, key: Key, lifetime: dt.timedelta) -> x509.CertificateBuilder:
    start = _now() - dt.timedelta(minutes=5)  # a clock that is set back a little must not stop the cluster
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
    )


def _subject(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
        + [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(files: Leaf, certificate: x509.Certificate, key: Key) -> None:
    write_private(files.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
    write_private(files.key, _key_pem(key))


def _key_pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _expires(certificate: Path) -> dt.datetime:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _file_name(user: str) -> str:
    return user.replace(":", "-")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
