"""The AMD SEV-SNP attestation report, version 2: 1184 bytes (AMD 56860 revision 1.55, table 22).

Only the fields that the attestation service turns into claims have names here; the bytes between them are zero.
"""

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

SIZE = 1184
SIGNED = 672
"""The signature covers all bytes before it."""

COMPONENT = 72
"""R and S are little-endian, 72 bytes each; the rest of the 512-byte signature is zero."""

VERSION = 2
ECDSA_P384_SHA384 = 1

SMT_ALLOWED = 1 << 16
RESERVED_ONE = 1 << 17
"""A bit of the guest policy that has to be set."""

MIGRATION_ALLOWED = 1 << 18
DEBUG_ALLOWED = 1 << 19
API_MINOR = 31
"""Lowest firmware version that the guest accepts: 0.31, as confidential containers have it."""

_FIELDS = (
    # name, offset, struct format
    ("version", 0, "<I"),
    ("guest_svn", 4, "<I"),
    ("policy", 8, "<Q"),
    ("family_id", 16, "16s"),
    ("image_id", 32, "16s"),
    ("vmpl", 48, "<I"),
    ("signature_algorithm", 52, "<I"),
    ("current_tcb", 56, "<Q"),
    ("platform_info", 64, "<Q"),
    ("report_data", 80, "64s"),
    ("measurement", 144, "48s"),
    ("host_data", 192, "32s"),
    ("id_key_digest", 224, "48s"),
    ("author_key_digest", 272, "48s"),
    ("report_id", 320, "32s"),
    ("report_id_ma", 352, "32s"),
    ("reported_tcb", 384, "<Q"),
    ("chip_id", 416, "64s"),
    ("committed_tcb", 480, "<Q"),
    ("launch_tcb", 496, "<Q"),
)


class ReportError(ValueError):
    """The bytes are no valid report, or the signature is not the chip's."""


@dataclass(frozen=True)
class Tcb:
    """Security version numbers of the platform's parts."""

    bootloader: int
    tee: int
    snp: int
    microcode: int

    @classmethod
    def unpack(cls, value: int) -> "Tcb":
        """Read the 64-bit form: bytes 0, 1, 6 and 7."""
        octets = value.to_bytes(8, "little")
        return cls(octets[0], octets[1], octets[6], octets[7])

    def pack(self) -> int:
        """Return the 64-bit form."""
        return int.from_bytes(bytes([self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode]), "little")


@dataclass(frozen=True)
class Report:
    """The named fields of a report; byte fields have the lengths of the layout."""

    report_data: bytes
    host_data: bytes
    measurement: bytes
    chip_id: bytes
    reported_tcb: int
    policy: int
    guest_svn: int = 0
    version: int = VERSION
    vmpl: int = 0
    signature_algorithm: int = ECDSA_P384_SHA384
    platform_info: int = 0
    current_tcb: int = 0
    committed_tcb: int = 0
    launch_tcb: int = 0
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)
    report_id: bytes = bytes(32)
    report_id_ma: bytes = b"\xff" * 32

    @property
    def debuggable(self) -> bool:
        """Whether the host may read the guest's memory through the secure processor."""
        return bool(self.policy & DEBUG_ALLOWED)

    def sign(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the 1184 bytes with a signature by the chip's key (P-384, SHA-384).

        Raises:
            ReportError: A byte field has the wrong length.
        """
        octets = bytearray(SIZE)
        for name, offset, form in _FIELDS:
            value = getattr(self, name)
            if isinstance(value, bytes) and len(value) != struct.calcsize(form):
                raise ReportError(f"{name} has {len(value)} bytes; a report holds {struct.calcsize(form)}")
            struct.pack_into(form, octets, offset, value)
        r, s = decode_dss_signature(key.sign(bytes(octets[:SIGNED]), ec.ECDSA(hashes.SHA384())))
        octets[SIGNED : SIGNED + COMPONENT] = r.to_bytes(COMPONENT, "little")
        octets[SIGNED + COMPONENT : SIGNED + 2 * COMPONENT] = s.to_bytes(COMPONENT, "little")
        return bytes(octets)


def parse(octets: bytes, key: ec.EllipticCurvePublicKey) -> Report:
    """Check a report's form and signature and return its fields.

    Raises:
        ReportError: Wrong size, version, algorithm or signature.
    """
    if len(octets) != SIZE:
        raise ReportError(f"a report has {SIZE} bytes, this has {len(octets)}")
    report = Report(**{name: struct.unpack_from(form, octets, offset)[0] for name, offset, form in _FIELDS})
    if report.version != VERSION:
        raise ReportError(f"report version {report.version} is not {VERSION}")
    if report.signature_algorithm != ECDSA_P384_SHA384:
        raise ReportError("the signature algorithm is not ECDSA P-384 with SHA-384")
    r, s = (int.from_bytes(octets[start : start + COMPONENT], "little") for start in (SIGNED, SIGNED + COMPONENT))
    try:
        key.verify(encode_dss_signature(r, s), octets[:SIGNED], ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise ReportError("the report is not signed by the chip's key") from error
    return report
