"""A program as in the summarizer's container: behind the trap of its ioctl, with a device and the rights it gets."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from azure_sandbox.guest.secure_processor import REPORT_DEVICE, SecureProcessor
from confidential_summarizer.blueprint import SUMMARIZER_CAPABILITIES

PYTHON_PREFIX = Path("/mnt")
"""Where this interpreter is in the container, for every user."""


def python_path(*folders: Path) -> str:
    """What `PYTHONPATH` has to be there: this environment's packages, and more folders."""
    return os.pathsep.join([sysconfig.get_path("purelib"), *map(str, folders)])


@asynccontextmanager
async def confined(
    processor: SecureProcessor,
    folder: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    capabilities: Sequence[str] = SUMMARIZER_CAPABILITIES,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program as root with these capabilities and no new privileges; it is killed at the end if it still runs."""
    device = folder / "sev-guest"
    device.touch()
    device.chmod(0o666)
    near, far = socket.socketpair()
    # Its own numbers for processes: all of them end with the first. And an interpreter that every user can read.
    container = ["bwrap", "--die-with-parent", "--unshare-pid", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    container += ["--bind", str(device), REPORT_DEVICE, "--ro-bind", sys.base_prefix, str(PYTHON_PREFIX)]
    container += ["--cap-drop", "ALL", *(word for name in capabilities for word in ("--cap-add", name))]
    with near, far:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "azure_sandbox.guest.trap", str(far.fileno()), *container, *command,
            pass_fds=(far.fileno(),), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(environment),
        )  # fmt: skip
        far.close()
        _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, near, 16, 1)
    for descriptor in descriptors:
        processor.watch(descriptor)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        processor.down()
