"""The OCI registry of the sandbox: the CNCF distribution, which takes the tokens that `azure.registry` hands out."""

import socket
from pathlib import Path

import yaml

from azure_sandbox import processes
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.names import REGISTRY
from azure_sandbox.processes import Command
from azure_sandbox.programs import find_program
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState, write_private

NAME = "registry"
PROGRAM, PACKAGE = "docker-registry", "docker-registry"

ISSUER = "Azure Container Registry"
"""Who signs the tokens that the distribution takes. They are for REGISTRY, whatever name it is asked under."""

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
        authority = CertificateAuthority.open(self.state.ca)
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(_storage(self.state))},
                "delete": {"enabled": True},
                "cache": {"blobdescriptor": "inmemory"},
            },
            "http": {
                "addr": f"127.0.0.1:{self.state.port(NAME)}",
                # Uploads are answered with relative URLs, so that they work under each of the names.
                "relativeurls": True,
            },
            "auth": {
                "token": {
                    "realm": f"https://{REGISTRY}/oauth2/token",
                    "service": REGISTRY,
                    "issuer": ISSUER,
                    "rootcertbundle": str(authority.directory / "ca.pem"),
                },
            },
        }


def has_manifest(state: SandboxState, reference: str, digest: str) -> bool:
    """Tell whether the registry keeps a manifest of an image; looked up where it does, which needs no credential."""
    repository = reference.partition("/")[2].rpartition(":")[0]
    revisions = _storage(state) / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
    return (revisions / digest.replace(":", "/") / "link").is_file()


def _storage(state: SandboxState) -> Path:
    return state.registry / "data"


def accepts(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts connections at the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
