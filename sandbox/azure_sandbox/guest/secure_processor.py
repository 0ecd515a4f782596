"""What attests the machine to its containers: the secure processor's device and the security context."""

import asyncio
import base64
import contextlib
import fcntl
import os
import secrets
import struct
from pathlib import Path

from azure_sandbox.guest.api import ReportSource
from azure_sandbox.guest.machine import Machine

REPORT_DEVICE = "/dev/sev-guest"
"""Where containers find the device; a 6.x kernel's name. Open to every user, as Microsoft's agent makes it (runc's mode
for a device without one: hcsshim's AddDevSev gives none)."""

RECEIVE, SEND = 0xC0502100, 0xC0182101
"""SECCOMP_IOCTL_NOTIF_RECV and _SEND, include/uapi/linux/seccomp.h."""

NOTIFICATION = struct.Struct("<QIIiIQ6Q")
"""`struct seccomp_notif`: its id, the process, flags, then the call: number, architecture, address, arguments."""
ANSWER = struct.Struct("<QqiI")
"""`struct seccomp_notif_resp`: the id, the result, a negative error number, flags."""

REQUEST = struct.Struct("<B7xQQQ")
"""`struct snp_guest_request_ioctl`: version; addresses of request and response; the firmware's error."""

REPORT_DATA_BYTES = 64
RESPONSE_HEAD = struct.Struct("<II24x")
"""MSG_REPORT_RSP before the report: status, size."""

ENOTTY, EFAULT = 25, 14


class SecureProcessor:
    """Answers containers that ask the device for a report, in place of the kernel (see `trap`).

    Args:
        source: Signs the reports.
        host_data: SHA-256 of the policy; the processor fixed it when the machine was launched.
        debuggable: Whether the machine was launched so that the host can debug it.
    """

    def __init__(self, source: ReportSource, host_data: bytes, *, debuggable: bool) -> None:
        self._source = source
        self._host_data = host_data
        self._debuggable = debuggable
        self._traps: set[int] = set()

    def watch(self, trap: int) -> None:
        """Answer the calls that arrive at a trap, until nobody is left who could make one; the descriptor is ours."""
        self._traps.add(trap)
        asyncio.get_running_loop().add_reader(trap, self._answer, trap)

    def down(self) -> None:
        """Answer no more; harmless when it does not."""
        for trap in tuple(self._traps):
            self._forget(trap)

    def _forget(self, trap: int) -> None:
        asyncio.get_running_loop().remove_reader(trap)
        self._traps.discard(trap)
        os.close(trap)

    def _answer(self, trap: int) -> None:
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(trap, RECEIVE, buffer)
        except OSError:
            # Whoever asked is gone, or all are.
            self._forget(trap)
            return
        identifier, process, _, _, _, _, descriptor, _, argument, *_ = NOTIFICATION.unpack(buffer)
        answer = bytearray(ANSWER.pack(identifier, 0, -self._serve(process, descriptor, argument), 0))
        with contextlib.suppress(OSError):  # it was interrupted, or ended
            fcntl.ioctl(trap, SEND, answer)

    def _serve(self, process: int, descriptor: int, argument: int) -> int:
        """Write a report into the memory of who asks; return 0 or an error number (ioctl(2))."""
        try:
            if str(Path(f"/proc/{process}/fd/{descriptor}").readlink()) != REPORT_DEVICE:
                return ENOTTY
            with Path(f"/proc/{process}/mem").open("r+b", buffering=0) as memory:
                memory.seek(argument)
                _, request, response, _ = REQUEST.unpack(memory.read(REQUEST.size))
                memory.seek(request)
                data = memory.read(REPORT_DATA_BYTES)
                report = self._source.report(data, self._host_data, debug=self._debuggable)
                memory.seek(response)
                memory.write(RESPONSE_HEAD.pack(0, len(report)) + report)
        except (OSError, ValueError, OverflowError, struct.error):
            return EFAULT
        return 0


def write_security_context(machine: Machine, source: ReportSource, policy: bytes) -> tuple[Path, str]:
    """Write the files that the machine shows to each container; return their folder and the path to show it at.

    Names and contents: confidential-sidecar-containers, pkg/common/info.go.
    """
    folder = machine.folder("security-context")
    machine.file(folder / "security-policy-base64", base64.b64encode(policy))
    machine.file(folder / "host-amd-cert-base64", source.host_amd_cert_base64.encode())
    machine.file(folder / "reference-info-base64", source.reference_info_base64.encode())
    return folder, f"/security-context-{secrets.token_hex(5)}"
