"""`python -m azure_sandbox.azure --home DIR`: serve the stand-ins until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from azure_sandbox.azure.stand_ins import serve
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.guest import create_guest
from azure_sandbox.state import SandboxState


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m azure_sandbox.azure", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the sandbox; default as for csum sandbox")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state = SandboxState(arguments.home.absolute()) if arguments.home else SandboxState.from_environment()
    state.prepare()
    CertificateAuthority.open(state.ca)
    _become_client(state)
    asyncio.run(_serve(state))


def _become_client(state: SandboxState) -> None:
    """See to it that guests pull images the way every client of the sandbox does.

    The process starts itself anew when the variables were not set: aiohttp reads SSL_CERT_FILE when it is imported.
    """
    wanted = state.client_environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        command = [sys.executable, "-m", "azure_sandbox.azure", "--home", str(state.home)]
        os.execve(sys.executable, command, {**os.environ, **wanted})  # noqa: S606


async def _serve(state: SandboxState) -> None:
    until = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    await serve(state, create_guest, until)


if __name__ == "__main__":
    main()
