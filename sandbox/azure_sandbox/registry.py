"""The OCI registry of the sandbox: the CNCF distribution, serving TLS under the names of Azure's registries."""

import socket

import yaml

from azure_sandbox import processes
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.processes import Command
from azure_sandbox.programs import find_program
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState, write_private

NAME = "registry"
PROGRAM, PACKAGE = "docker-registry", "docker-registry"

SERVER_NAMES = ("*.azurecr.io", "mcr.microsoft.com")
"""One registry answers for all of them: repositories of one are seen under the other's name too."""

READY_SECONDS = 30.0


class Registry:
    """The registry's one process."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state

    def up(self, report: Report) -> None:
        """Start it, unless it runs.

        Raises:
            SpecError: The program is not installed.
            TransientError: It did not start in time.
        """
        report("registry: starting")
        program = find_program(PROGRAM, PACKAGE)
        configuration = self.state.registry / "config.yml"
        write_private(configuration, yaml.safe_dump(self._configuration(), sort_keys=False))
        processes.start(self.state, Command(NAME, [program, "serve", str(configuration)]))
        processes.wait_until(self.state, NAME, self.is_ready, READY_SECONDS, "the registry")

    def down(self) -> None:
        """Stop it; what was pushed stays."""
        processes.stop(self.state, NAME)

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        return accepts(self.state.port(NAME))

    def _configuration(self) -> dict[str, object]:
        leaf = str(CertificateAuthority.open(self.state.ca).leaf(*SERVER_NAMES))
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.state.registry / "data")},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
            },
            "http": {
                "addr": f"127.0.0.1:{self.state.port(NAME)}",
                # Uploads are answered with relative URLs, so that they work under each of the names.
                "relativeurls": True,
                "tls": {"certificate": leaf, "key": leaf, "minimumtls": "tls1.2"},
            },
        }


def accepts(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts connections at the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
