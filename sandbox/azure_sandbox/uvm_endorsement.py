"""The signed statement that a launch measurement is a good utility VM (COSE_Sign1, RFC 9052, over JSON).

Microsoft signs such statements for the confidential container platform; the sandbox signs one for its own guest, with
the same headers, and its attestation service trusts that one signer by the fingerprint of its root (did:x509).
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from azure_sandbox.certificates import private_pem
from azure_sandbox.encoding import to_base64url
from azure_sandbox.state import locked, write_private

COSE_SIGN1 = 18
HEADER_ALGORITHM = 1
HEADER_CONTENT_TYPE = 3
HEADER_X5CHAIN = 33
PS384 = -38
KEY_BITS = 3072

SIGNER_PURPOSE = "1.3.6.1.4.1.311.76.59.1.2"
"""The extended key usage that marks a signer of utility VMs."""

FEED = "ContainerPlat-AMD-UVM"
MEASUREMENT = "x-ms-sevsnpvm-launchmeasurement"
GUEST_SVN = "x-ms-sevsnpvm-guestsvn"


class EndorsementError(ValueError):
    """The statement is malformed or not signed by the trusted signer."""


@dataclass(frozen=True)
class Endorsement:
    """What a checked statement says: 96 hex digits, the guest's version number, and who signed it."""

    measurement: str
    guest_svn: str
    issuer: str
    feed: str


class UvmSigner:
    """The signer of the sandbox's utility VM.

    Args:
        path: PEM file with its key, certificate and root; made at first use.
    """

    def __init__(self, path: Path) -> None:
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                write_private(path, _create())
        octets = path.read_bytes()
        # Our own file: checking the primes of a key that was made here takes longer than signing with it.
        key = serialization.load_pem_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path} holds no RSA key: remove it to make a new signer")
        self.key = key
        self.chain = [_der(certificate) for certificate in x509.load_pem_x509_certificates(octets)]

    @property
    def issuer(self) -> str:
        """The signer's did:x509 name: the root's fingerprint and the purpose."""
        return did_x509(self.chain[-1])

    def endorse(self, measurement: bytes, guest_svn: int) -> bytes:
        """Return a COSE_Sign1 statement over a 48-byte launch measurement."""
        payload = json.dumps({GUEST_SVN: str(guest_svn), MEASUREMENT: measurement.hex()}).encode()
        protected = cbor2.dumps(
            {
                HEADER_ALGORITHM: PS384,
                HEADER_CONTENT_TYPE: "application/json",
                HEADER_X5CHAIN: self.chain,
                "iss": self.issuer,
                "feed": FEED,
                "signingtime": int(dt.datetime.now(dt.UTC).timestamp()),
            }
        )
        signature = self.key.sign(_to_be_signed(protected, payload), _pss(), hashes.SHA384())
        return cbor2.dumps(cbor2.CBORTag(COSE_SIGN1, [protected, {}, payload, signature]))


def did_x509(root_der: bytes) -> str:
    """Return the did:x509 name of signers below a root with the utility VM purpose."""
    return f"did:x509:0:sha256:{to_base64url(hashlib.sha256(root_der).digest())}::eku:{SIGNER_PURPOSE}"


def verify(statement: bytes, trusted_issuer: str) -> Endorsement:
    """Check a COSE_Sign1 statement and return what it says.

    Args:
        statement: The CBOR bytes.
        trusted_issuer: The only did:x509 name that is believed.

    Raises:
        EndorsementError: Malformed, another signer, or a wrong signature.
    """
    try:
        protected, headers, payload, signature = _unpack(statement)
        certificates = [x509.load_der_x509_certificate(der) for der in headers[HEADER_X5CHAIN]]
        claims = json.loads(payload)
        endorsement = Endorsement(claims[MEASUREMENT], claims[GUEST_SVN], headers["iss"], headers["feed"])
        root = certificates[-1]
    except (cbor2.CBORDecodeError, ValueError, LookupError, TypeError) as error:
        raise EndorsementError("the UVM endorsement is not a COSE_Sign1 statement of the expected form") from error
    _check_signer(certificates, root, headers["iss"], trusted_issuer)
    key = certificates[0].public_key()
    if headers.get(HEADER_ALGORITHM) != PS384 or not isinstance(key, rsa.RSAPublicKey):
        raise EndorsementError("the UVM endorsement is not signed with PS384")
    try:
        key.verify(signature, _to_be_signed(protected, payload), _pss(), hashes.SHA384())
    except InvalidSignature as error:
        raise EndorsementError("the signature of the UVM endorsement is wrong") from error
    return endorsement


def _unpack(statement: bytes) -> tuple[bytes, dict[Any, Any], bytes, bytes]:
    tagged = cbor2.loads(statement)
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != COSE_SIGN1:
        raise ValueError("no COSE_Sign1 tag")
    protected, _, payload, signature = tagged.value
    return protected, cbor2.loads(protected), payload, signature


def _check_signer(
    certificates: list[x509.Certificate], root: x509.Certificate, issuer: object, trusted_issuer: str
) -> None:
    if issuer != trusted_issuer or did_x509(_der(root)) != trusted_issuer:
        raise EndorsementError("the UVM endorsement is signed by somebody else")
    try:
        for certificate, parent in zip(certificates, [*certificates[1:], root], strict=True):
            certificate.verify_directly_issued_by(parent)
        usage = certificates[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise EndorsementError("the certificate chain of the UVM endorsement is wrong") from error
    if ObjectIdentifier(SIGNER_PURPOSE) not in usage:
        raise EndorsementError("the signer of the UVM endorsement is not meant for utility VMs")


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _pss() -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA384()), hashes.SHA384.digest_size)


def _create() -> str:
    root_key = rsa.generate_private_key(65537, KEY_BITS)
    key = rsa.generate_private_key(65537, KEY_BITS)
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox UVM Root")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox UVM Signer")])
    now = dt.datetime.now(dt.UTC)

    def builder(subject: x509.Name, public: rsa.RSAPublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=3650))
        )

    root = builder(root_name, root_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    leaf = builder(name, key.public_key()).add_extension(
        x509.ExtendedKeyUsage([ObjectIdentifier(SIGNER_PURPOSE)]), critical=False
    )
    certificates = (leaf.sign(root_key, hashes.SHA384()), root.sign(root_key, hashes.SHA384()))
    return private_pem(key) + "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
