"""The unmodified azure-cli from PyPI, in an environment of its own below the user's cache folder."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from azure_sandbox.azure.principals import Principals
from azure_sandbox.names import TENANT
from azure_sandbox.state import SandboxState, cache_directory, locked

VERSIONS = ">=2.80,<3"
"""Any of these; the environment is made once and kept."""

SECONDS = 180


def install() -> Path:
    """Return the folder of its environment, made at first use (about a minute)."""
    folder = cache_directory() / f"azure-cli-py{sys.version_info.major}.{sys.version_info.minor}"
    with locked(Path(f"{folder}.lock")):
        if not (folder / ".ready").exists():
            # Not elsewhere first: an environment's programs name the folder that it was made in.
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            pip = [folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", f"azure-cli{VERSIONS}"]
            subprocess.run(pip, check=True)
            (folder / ".ready").touch()
    return folder


class AzureCli:
    """`az` against a sandbox, with a configuration of its own."""

    def __init__(self, state: SandboxState, configuration: Path) -> None:
        self.state = state
        self.python = install() / "bin" / "python"
        own = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
        self.environment = own | {
            **state.client_environment(),
            "REQUESTS_CA_BUNDLE": str(state.ca_bundle),
            "AZURE_CONFIG_DIR": str(configuration),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_NO_COLOR": "true",
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        command = [self.python, "-m", "azure.cli", *arguments]
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(
                command,
                env=self.environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )

    def text(self, *arguments: str) -> str:
        """Return what a command printed; it has to succeed."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    def json(self, *arguments: str):
        """Return the JSON that a command printed."""
        return json.loads(self.text(*arguments, "-o", "json"))

    def login(self, who: str) -> None:
        """Sign in as one of the sandbox's applications."""
        principal = Principals(self.state.home / "azure" / "principals.json")[who]
        self.text(
            "login", "--service-principal", "-u", principal.client_id, "-p", principal.secret or "", "--tenant", TENANT
        )
