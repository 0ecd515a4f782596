"""The blob service of the sandbox: Azurite, serving TLS under the name of the blob account."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from azure_sandbox import processes
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.names import BLOB_ACCOUNT
from azure_sandbox.processes import Command
from azure_sandbox.programs import find_program, run_program
from azure_sandbox.progress import Report
from azure_sandbox.registry import accepts
from azure_sandbox.state import SandboxState, cache_directory, locked

NAME = "azurite"
VERSION = "3.35.0"
"""As in azurite/package.json; the last one that runs on the Node.js of Debian 12."""

SOURCE = Path(__file__).parent.parent / "azurite"
SERVER_NAME = "*.blob.core.windows.net"
READY_SECONDS = 60.0
"""Measured: 2 s; Node.js reads several hundred files first."""


class Blobs:
    """Azurite's one process; it has the blob service only, no queues and no tables."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state

    def up(self, report: Report) -> None:
        """Start it, unless it runs; the first time it is downloaded.

        Raises:
            SpecError: Node.js or npm is not installed.
            TransientError: The download failed, or it did not start in time.
        """
        node = find_program("node", "nodejs")
        program = _install(self.state, report) / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        report("blobs: starting Azurite")
        processes.start(self.state, self._command(node, program))
        processes.wait_until(self.state, NAME, self.is_ready, READY_SECONDS, "Azurite")

    def down(self) -> None:
        """Stop it; the blobs stay."""
        processes.stop(self.state, NAME)

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        return accepts(self.state.port(NAME))

    def _command(self, node: str, program: Path) -> Command:
        leaf = str(CertificateAuthority.open(self.state.ca).leaf(SERVER_NAME))
        return Command(
            NAME,
            [
                node,
                str(program),
                "--blobHost=127.0.0.1",
                f"--blobPort={self.state.port(NAME)}",
                f"--location={self.state.blobs}",
                f"--cert={leaf}",
                f"--key={leaf}",
                "--oauth=basic",
                "--skipApiVersionCheck",  # the SDKs are newer than any Azurite
                "--loose",  # azmount names the encryption algorithm in Put Page, as the service allows
                "--disableTelemetry",
                "--silent",
            ],
            {"AZURITE_ACCOUNTS": f"{BLOB_ACCOUNT}:{self.state.blob_key()}"},
        )


def _install(state: SandboxState, report: Report) -> Path:
    """The folder that Azurite is installed in, one for each lock file; filled with npm at first use."""
    npm = find_program("npm", "npm")
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    folder = cache_directory() / f"azurite-{VERSION}-{digest[:12]}"
    with locked(Path(f"{folder}.lock")):
        if folder.exists():
            return folder
        report(f"Azurite {VERSION}: downloading")
        with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="azurite-installing-") as name:
            installing = Path(name) / "azurite"
            shutil.copytree(SOURCE, installing)
            # Install scripts only build optional native parts, which Azurite's blob service does not use.
            command = ["nice", "-n", "5", npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
            run_program(command, installing, state.outside_environment())
            installing.rename(folder)
    return folder
