"""What the guest knows of itself: the security context that its launcher left, and reports of the secure processor.

Formats: the security-context folder of confidential containers; the SEV-SNP report, version 2 (AMD 56860, table 22).
"""

import base64
import binascii
import ctypes
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from attested_release.errors import ReleaseError
from attested_release.http import request
from attested_release.identity import METADATA

CONTEXT_VARIABLE = "UVM_SECURITY_CONTEXT_DIR"
CONTEXT_MARK = "security-context-"
"""Part of the name of the folder in `/` where no variable names it."""

INLINE_VARIABLES = {
    "reference-info-base64": "UVM_REFERENCE_INFO",
    "host-amd-cert-base64": "UVM_HOST_AMD_CERTIFICATE",
    "security-policy-base64": "UVM_SECURITY_POLICY",
}
"""The variables that hold the same where there is no folder."""

DEVICE = Path("/dev/sev-guest")
REPORT_BYTES = 1184
REPORT_DATA_BYTES = 64
REPORTED_TCB = 384
"""Offset of the firmware versions that the report is signed for, 8 bytes, little endian."""

SNP_GET_REPORT = 0xC0205300
"""Linux 6, include/uapi/linux/sev-guest.h."""
REQUEST_BYTES, RESPONSE_BYTES, REPORT_OFFSET = 96, 4000, 32
"""Of the messages MSG_REPORT_REQ and MSG_REPORT_RSP (AMD 56860, tables 22 and 23)."""


@dataclass(frozen=True)
class SecurityContext:
    """What the launcher of the guest left for it.

    Attributes:
        certificates: PEM of the chip's certificate and its authorities, leaf first.
        tcb: The firmware versions that the chip's certificate is for.
        reference_info: The signed endorsement of the utility VM (COSE_Sign1); empty if there is none.
        policy: The policy that the guest enforces.
    """

    certificates: bytes
    tcb: int
    reference_info: bytes
    policy: bytes

    @classmethod
    def load(cls, environment: Mapping[str, str], root: Path = Path("/")) -> "SecurityContext":
        """Read the security context.

        Args:
            environment: Names the folder, or holds the values.
            root: Where the folder is looked for if no variable names it.

        Raises:
            ReleaseError: There is none, or it is damaged.
        """
        values = {name: _decoded(name, text) for name, text in _texts(environment, root).items()}
        host = values["host-amd-cert-base64"]
        try:
            document = json.loads(host) if host else _from_metadata()
            certificates = f"{document['vcekCert']}{document['certificateChain']}".encode()
            tcb = int(document["tcbm"], 16)
        except (ValueError, KeyError, TypeError):
            raise ReleaseError("the host's AMD certificates are not the JSON document that they should be") from None
        return cls(certificates, tcb, values["reference-info-base64"], values["security-policy-base64"])


def device_report(report_data: bytes, device: Path = DEVICE) -> bytes:
    """Ask the secure processor's device for a report.

    Raises:
        ReleaseError: There is none, or it refuses.
    """
    request = ctypes.create_string_buffer(report_data, REQUEST_BYTES)
    response = ctypes.create_string_buffer(RESPONSE_BYTES)
    argument = struct.pack("<B7xQQQ", 1, ctypes.addressof(request), ctypes.addressof(response), 0)
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, SNP_GET_REPORT, bytearray(argument))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReleaseError(f"there is no secure processor at {device} ({error.strerror or error})") from None
    return response.raw[REPORT_OFFSET : REPORT_OFFSET + REPORT_BYTES]


@dataclass(frozen=True)
class Guest:
    """The guest as its sidecars see it.

    Attributes:
        context: Its security context.
        ask: Makes a report over 64 bytes of report data.
    """

    context: SecurityContext
    ask: Callable[[bytes], bytes] = device_report

    def report(self, runtime_data: bytes) -> bytes:
        """Return a signed report of 1184 bytes whose report data is the SHA-256 of `runtime_data`.

        Raises:
            ReleaseError: There is no secure processor, or its firmware is not the one that the certificate is for.
        """
        report = self.ask(hashlib.sha256(runtime_data).digest().ljust(REPORT_DATA_BYTES, b"\0"))
        if struct.unpack_from("<Q", report, REPORTED_TCB)[0] != self.context.tcb:
            raise ReleaseError("the report's firmware versions are not those of the host's certificate")
        return report


def _texts(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    folder = environment.get(CONTEXT_VARIABLE)
    found = Path(folder) if folder else next(iter(sorted(root.glob(f"*{CONTEXT_MARK}*"))), None)
    if found is None:
        return {name: environment.get(variable, "") for name, variable in INLINE_VARIABLES.items()}
    try:
        return {name: (found / name).read_text() for name in INLINE_VARIABLES}
    except OSError as error:
        raise ReleaseError(f"the security context in {found} cannot be read ({error.strerror})") from None


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ReleaseError(f"{name} of the security context is not base64") from None


def _from_metadata() -> dict[str, str]:
    headers = {"Metadata": "true"}
    url = f"{METADATA}/THIM/amd/certification"
    return request("the host's certificate service", "GET", url, headers=headers).json("the certificate service")
