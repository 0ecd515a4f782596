"""What attests the machine to its containers: the secure processor's device and the security context."""

import asyncio
import base64
import contextlib
import secrets
from pathlib import Path

from azure_sandbox.guest.api import ReportSource
from azure_sandbox.guest.machine import Machine

REPORT_DEVICE = "/dev/sev-guest"
"""Where containers find the device; a 6.x kernel's name."""

REPORT_DATA_BYTES = 64


class SecureProcessor:
    """Serves attestation reports over a unix socket: 64 bytes in, 1184 bytes out. Stands for the device's ioctl.

    Args:
        source: Signs the reports.
        host_data: SHA-256 of the policy; the processor fixed it when the machine was launched.
        debuggable: Whether the machine was launched so that the host can debug it.
    """

    def __init__(self, source: ReportSource, host_data: bytes, *, debuggable: bool) -> None:
        self._source = source
        self._host_data = host_data
        self._debuggable = debuggable
        self._server: asyncio.Server | None = None

    async def up(self, path: Path) -> None:
        """Begin to answer on a unix socket, which anybody may use who sees it."""
        self._server = await asyncio.start_unix_server(self._answer, path)
        await asyncio.to_thread(path.chmod, 0o666)

    async def down(self) -> None:
        """Answer no more; harmless when it does not."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            data = await reader.readexactly(REPORT_DATA_BYTES)
            writer.write(self._source.report(data, self._host_data, debug=self._debuggable))
            await writer.drain()
        writer.close()


def write_security_context(machine: Machine, source: ReportSource, policy: bytes) -> tuple[Path, str]:
    """Write the files that the machine shows to each container; return their folder and the path to show it at.

    Names and contents: confidential-sidecar-containers, pkg/common/info.go.
    """
    folder = machine.folder("security-context")
    machine.file(folder / "security-policy-base64", base64.b64encode(policy))
    machine.file(folder / "host-amd-cert-base64", source.host_amd_cert_base64.encode())
    machine.file(folder / "reference-info-base64", source.reference_info_base64.encode())
    return folder, f"/security-context-{secrets.token_hex(5)}"
