"""Reports of the AMD secure processor, by the kernel's device.

Microsoft's agent gives the device to every container of a confidential group (hcsshim, internal/guest/spec/spec.go,
AddDevSev), and without a file mode, so that any user of the container can open it (runc's default, 0666).

Sources: AMD 56860, tables 20 to 23; include/uapi/linux/sev-guest.h (Linux 6); psp-sev-guest.h of the 5.15 guest
kernels, whose device takes a wider request.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from summarizer.errors import EvidenceError

REPORT_BYTES: Final = 1184
REPORT_DATA_BYTES: Final = 64
# Where the SHA-256 is that was asked for, the first half of the report data.
REPORT_DATA: Final = slice(80, 112)
# MSG_REPORT_REQ: the report data, and for which privilege level: 0, the caller's own.
_REQUEST_BYTES: Final = 96
# MSG_REPORT_RSP with the room that both kernels want; status and size, then the report at 32.
_RESPONSE_BYTES: Final = 4000
_HEAD: Final = struct.Struct("<II24x")


@dataclass(frozen=True)
class _Kernel:
    """How one kernel's device is asked: its path, the ioctl's number, and the argument with two addresses."""

    path: Path
    request: int
    argument: Callable[[int, int], bytes]


def _linux_6(request: int, response: int) -> bytes:
    # Message version; the addresses; the firmware's error.
    return struct.pack("<B7xQQQ", 1, request, response, 0)


def _linux_5(request: int, response: int) -> bytes:
    # Message types MSG_REPORT_REQ and MSG_REPORT_RSP, version; each address behind its length; the firmware's error.
    return struct.pack("<BBBxH2xQH6xQI4x", 5, 6, 1, _REQUEST_BYTES, request, 1280, response, 0)


KERNELS: Final = (
    _Kernel(Path("/dev/sev-guest"), 0xC0205300, _linux_6),
    _Kernel(Path("/dev/sev"), 0xC0285301, _linux_5),
)


@dataclass(frozen=True)
class Device:
    """An open device; whoever holds it can have any report of this guest made."""

    descriptor: int
    kernel: _Kernel

    @classmethod
    def open(cls, path: Path | None = None) -> "Device | None":
        """Open the device, None outside of an SEV-SNP guest.

        Args:
            path: Where it is, if not at its usual place.

        Raises:
            OSError: It is there and cannot be opened.
        """
        for kernel in KERNELS:
            place = path or kernel.path
            if place.exists():
                return cls(os.open(place, os.O_RDWR | os.O_CLOEXEC), kernel)
        return None

    def report(self, report_data: bytes) -> bytes:
        """Return a signed report of 1184 bytes.

        Args:
            report_data: Up to 64 bytes that the report carries; zeros follow.

        Raises:
            EvidenceError: The kernel or the processor's firmware refused.
        """
        request = ctypes.create_string_buffer(report_data.ljust(REPORT_DATA_BYTES, b"\0"), _REQUEST_BYTES)
        response = ctypes.create_string_buffer(_RESPONSE_BYTES)
        argument = bytearray(self.kernel.argument(ctypes.addressof(request), ctypes.addressof(response)))
        try:
            fcntl.ioctl(self.descriptor, self.kernel.request, argument)
        except OSError as error:
            raise EvidenceError(f"the secure processor gives no report: {error.strerror}") from None
        status, _ = _HEAD.unpack_from(response.raw)
        if status:
            raise EvidenceError(f"the secure processor's firmware gives no report: status {status}")
        return response.raw[_HEAD.size : _HEAD.size + REPORT_BYTES]
