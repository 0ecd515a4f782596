"""The sandbox's secure processor: signs reports, and knows what a guest needs to prove them."""

import base64
import hashlib
import json
from functools import cached_property
from pathlib import Path

from azure_sandbox.amd_chain import AmdChain
from azure_sandbox.snp_report import (
    API_MINOR,
    DEBUG_ALLOWED,
    RESERVED_ONE,
    SMT_ALLOWED,
    Report,
    Tcb,
)
from azure_sandbox.uvm_endorsement import UvmSigner

TCB = Tcb(bootloader=4, tee=0, snp=24, microcode=219)
"""Firmware versions of a Milan machine in Azure in 2026 (reported TCB db18000000000004)."""

GUEST_SVN = 22

MEASUREMENT = hashlib.sha384(b"confidential summarizer sandbox utility VM").digest()
"""Launch measurement: the sandbox has no VM image to measure, so it is a fixed, recognisable value."""

CHIP_ID = hashlib.sha512(b"confidential summarizer sandbox chip").digest()


class Attester:
    """Makes reports as the chip of this machine.

    Args:
        directory: Keeps the chain and the signer of the utility VM; both are made at first use.
    """

    def __init__(self, directory: Path) -> None:
        self.chain = AmdChain.open(directory / "amd.pem", TCB, CHIP_ID)
        self.uvm_signer = UvmSigner(directory / "uvm.pem")

    def report(self, report_data: bytes, host_data: bytes, *, debug: bool = False) -> bytes:
        """Return a signed report of 1184 bytes.

        Args:
            report_data: 64 bytes that the guest chose.
            host_data: 32 bytes that were fixed when the guest was launched: the SHA-256 of its policy.
            debug: Whether the guest was launched with its memory open to the host.

        Raises:
            ReportError: An argument has another length.
        """
        tcb = TCB.pack()
        return Report(
            report_data=report_data,
            host_data=host_data,
            measurement=MEASUREMENT,
            chip_id=CHIP_ID,
            policy=API_MINOR | SMT_ALLOWED | RESERVED_ONE | (DEBUG_ALLOWED if debug else 0),
            guest_svn=GUEST_SVN,
            reported_tcb=tcb,
            current_tcb=tcb,
            committed_tcb=tcb,
            launch_tcb=tcb,
            report_id=hashlib.sha256(host_data + b"report id").digest(),
        ).sign(self.chain.chip_key)

    @cached_property
    def host_amd_cert_base64(self) -> str:
        """The security context's `host-amd-cert-base64`: the THIM document in base64."""
        document = {
            "vcekCert": self.chain.chip_pem,
            "tcbm": f"{TCB.pack():016X}",
            "certificateChain": self.chain.authorities_pem,
            "cacheControl": "86400",
        }
        return base64.b64encode(json.dumps(document).encode()).decode()

    @cached_property
    def reference_info_base64(self) -> str:
        """The security context's `reference-info-base64`: the endorsement of the utility VM in base64."""
        return base64.b64encode(self.uvm_signer.endorse(MEASUREMENT, GUEST_SVN)).decode()
