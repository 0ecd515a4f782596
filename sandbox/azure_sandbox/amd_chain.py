"""A test AMD key chain: root (ARK), signing key (ASK) and one chip's key (VCEK) with its firmware versions.

AMD's own roots are RSA-4096; these are P-384 throughout, which verifiers of a chain do not tell apart. The VCEK carries
the extensions of AMD 57230 (VCEK certificate definitions, table 8), so that a verifier can match it with a report.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from azure_sandbox.certificates import private_pem
from azure_sandbox.snp_report import ReportError, Tcb
from azure_sandbox.state import locked, write_private

BOOTLOADER_VERSION = ObjectIdentifier("1.3.6.1.4.1.3704.1.3.1")
TEE_VERSION = ObjectIdentifier("1.3.6.1.4.1.3704.1.3.2")
SNP_VERSION = ObjectIdentifier("1.3.6.1.4.1.3704.1.3.3")
MICROCODE_VERSION = ObjectIdentifier("1.3.6.1.4.1.3704.1.3.8")
CHIP_ID = ObjectIdentifier("1.3.6.1.4.1.3704.1.4")

DER_INTEGER = 0x02
YEARS = 25
"""How long AMD's ARK is valid."""


@dataclass(frozen=True)
class AmdChain:
    """The three certificates and the chip's key."""

    root: x509.Certificate
    signer: x509.Certificate
    chip: x509.Certificate
    chip_key: ec.EllipticCurvePrivateKey

    @property
    def chip_pem(self) -> str:
        """The VCEK in PEM."""
        return _pem(self.chip)

    @property
    def authorities_pem(self) -> str:
        """ASK, then ARK, in PEM: the order of AMD's own chain file."""
        return _pem(self.signer) + _pem(self.root)

    @classmethod
    def open(cls, path: Path, tcb: Tcb, chip_id: bytes) -> "AmdChain":
        """Load the chain of a PEM file, or make one there for a chip with these firmware versions.

        One for a chip with other firmware is replaced: a VCEK is of one version.
        """
        with locked(path.with_suffix(".lock")):
            if not path.exists() or chip_of(x509.load_pem_x509_certificate(path.read_bytes())) != (tcb, chip_id):
                write_private(path, _create(tcb, chip_id))
        octets = path.read_bytes()
        key = serialization.load_pem_private_key(octets, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{path} holds no elliptic-curve key: remove it to make a new chain")
        chip, signer, root = x509.load_pem_x509_certificates(octets)
        return cls(root, signer, chip, key)


def verify_chain(pem: bytes, root: x509.Certificate) -> x509.Certificate:
    """Return the VCEK of a PEM chain (VCEK, ASK, ARK) that ends in this root.

    Raises:
        ReportError: Not three certificates, a wrong signature, another root, or outside its dates.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ReportError("the VCEK chain is not PEM") from error
    if len(certificates) != 3 or certificates[2] != root:
        raise ReportError("the VCEK chain does not end in the expected ARK")
    now = dt.datetime.now(dt.UTC)
    for certificate, issuer in zip(certificates, [*certificates[1:], root], strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise ReportError("a signature in the VCEK chain is wrong") from error
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ReportError("a certificate of the VCEK chain is not valid at this time")
    return certificates[0]


def chip_of(vcek: x509.Certificate) -> tuple[Tcb, bytes]:
    """Return the firmware versions and the chip id that a VCEK is bound to.

    Raises:
        ReportError: An extension is missing or malformed.
    """
    tcb = Tcb(
        bootloader=_version(vcek, BOOTLOADER_VERSION),
        tee=_version(vcek, TEE_VERSION),
        snp=_version(vcek, SNP_VERSION),
        microcode=_version(vcek, MICROCODE_VERSION),
    )
    return tcb, _extension(vcek, CHIP_ID)


def _version(certificate: x509.Certificate, identifier: ObjectIdentifier) -> int:
    der = _extension(certificate, identifier)
    if len(der) < 3 or der[0] != DER_INTEGER or der[1] != len(der) - 2:
        raise ReportError(f"extension {identifier.dotted_string} of the VCEK is not a small integer")
    return int.from_bytes(der[2:], "big")


def _extension(certificate: x509.Certificate, identifier: ObjectIdentifier) -> bytes:
    try:
        value = certificate.extensions.get_extension_for_oid(identifier).value
    except x509.ExtensionNotFound as error:
        raise ReportError(f"the VCEK lacks extension {identifier.dotted_string}") from error
    if not isinstance(value, x509.UnrecognizedExtension):
        raise ReportError(f"extension {identifier.dotted_string} of the VCEK has another meaning")
    return value.value


def _create(tcb: Tcb, chip_id: bytes) -> str:
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in range(3)]
    root_key, signer_key, chip_key = keys
    root_name, signer_name, chip_name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("ARK-Sandbox", "SEV-Sandbox", "SEV-VCEK")
    )
    authority = x509.BasicConstraints(ca=True, path_length=None)
    root = _builder(root_name, root_name, root_key).add_extension(authority, critical=True)
    signer = _builder(signer_name, root_name, signer_key).add_extension(authority, critical=True)
    chip = _builder(chip_name, signer_name, chip_key)
    versions = {
        BOOTLOADER_VERSION: tcb.bootloader,
        TEE_VERSION: tcb.tee,
        SNP_VERSION: tcb.snp,
        MICROCODE_VERSION: tcb.microcode,
    }
    extensions = {oid: _der_integer(number) for oid, number in versions.items()} | {CHIP_ID: chip_id}
    for oid, value in extensions.items():
        chip = chip.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    certificates = (
        chip.sign(signer_key, hashes.SHA384()),
        signer.sign(root_key, hashes.SHA384()),
        root.sign(root_key, hashes.SHA384()),
    )
    return private_pem(chip_key) + "".join(map(_pem, certificates))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
    )


def _der_integer(number: int) -> bytes:
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")  # the first bit is the sign
    return bytes([DER_INTEGER, len(octets)]) + octets


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
