"""The utility VM of a container group: a network and a mount namespace, and memory that nobody else sees.

Everything of the group lives in that memory (a tmpfs of the mount namespace): its layers, its containers' files and
what its sidecars open. Nothing of it is on a disk, and all of it is gone with the namespace.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azure_sandbox.guest.api import GroupNetwork
from confidential_summarizer.errors import SpecError, TransientError

MEMORY = Path("/media")
"""Where the memory is mounted: a folder of every Linux system (Filesystem Hierarchy Standard 3.0, section 3.11) that
holds neither this program nor the sandbox's home."""

MEMORY_SIZE = "75%"
"""Of the machine's memory; what is not used is not taken."""

START_SECONDS = 20.0
"""A Python process that opens a few sockets; the bound is for a busy machine."""

MOUNT = 'mount -t tmpfs -o "mode=755,size=$1" memory "$2" && shift 2 && exec "$@"'


class Machine:
    """The namespaces of one group, kept by the agent that runs in them.

    Args:
        network: The group's way out and its address.
    """

    def __init__(self, network: GroupNetwork) -> None:
        self._network = network
        self._agent: asyncio.subprocess.Process | None = None

    @property
    def ingress(self) -> Path:
        """The unix socket that leads to the ports in the group; beside the others, as its path must stay short."""
        return self._network.services_socket.with_suffix(".in")

    @property
    def enter(self) -> list[str]:
        """The words in front of a command that make it run in the namespaces."""
        spaces = f"/proc/{self._pid}/ns"
        return ["nsenter", f"--net={spaces}/net", f"--mount={spaces}/mnt", "--"]

    async def boot(self) -> None:
        """Make the namespaces and start the agent.

        Raises:
            SpecError: The user is not root.
            TransientError: The agent did not come up.
        """
        if os.geteuid() != 0:
            raise SpecError("container groups need namespaces that only root can make: run `csum sandbox up` as root")
        for needed in (Path(sys.executable), Path(__file__), self.ingress):
            if needed.resolve().is_relative_to(MEMORY):
                raise SpecError(f"{needed} is below {MEMORY}, which container groups cover: move it elsewhere")
        self.ingress.unlink(missing_ok=True)
        self._agent = await asyncio.create_subprocess_exec(
            "unshare", "--net", "--mount", "--propagation", "private", "--",
            "sh", "-c", MOUNT, "sh", MEMORY_SIZE, str(MEMORY),
            sys.executable, "-m", "azure_sandbox.guest.agent",
            str(self._network.services_socket), str(self._network.metadata_socket), str(self.ingress),
            self._network.address, *self._network.resolves,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._agent.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await asyncio.wait_for(self._agent.stdout.readline(), START_SECONDS)
        except TimeoutError:
            line = b""
        if line.strip() != b"ready":
            await self.halt()
            raise TransientError("the group's namespaces did not come up; the log of the stand-ins says why")

    async def halt(self) -> None:
        """Give the namespaces up; harmless when there are none. Their processes have to be gone."""
        if self._agent is not None:
            with contextlib.suppress(ProcessLookupError):
                self._agent.kill()
            await self._agent.wait()
            self._agent = None
        self.ingress.unlink(missing_ok=True)

    def outside(self, path: Path) -> Path:
        """Return a path of the memory as the host's privileged processes can reach it (proc(5), `/proc/pid/root`)."""
        return Path(f"/proc/{self._pid}/root") / path.relative_to("/")

    def folder(self, *parts: str, mode: int = 0o755) -> Path:
        """Make a folder in the memory and return its path inside."""
        path = MEMORY.joinpath(*parts)
        self.outside(path).mkdir(parents=True)
        self.outside(path).chmod(mode)
        return path

    def file(self, path: Path, content: bytes, mode: int = 0o644) -> Path:
        """Write a file in the memory, given its path inside, and return that path."""
        self.outside(path).write_bytes(content)
        self.outside(path).chmod(mode)
        return path

    async def run(self, module: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a Python module inside, with JSON as argument and answer.

        Raises:
            TransientError: It failed; the message quotes the last line of what it said.
        """
        process = await self.spawn(module, [json.dumps(request)])
        output, errors = await process.communicate()
        if process.returncode:
            raise TransientError(f"{module} failed in the guest: {last_line(errors)}")
        answer: dict[str, Any] = json.loads(output)
        return answer

    async def spawn(self, module: str, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        """Start a Python module inside, with pipes to and from it."""
        return await self.spawn_program([sys.executable, "-m", module, *arguments])

    async def spawn_program(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        """Start a program inside, with pipes to and from it."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*self.enter, *command, stdin=pipe, stdout=pipe, stderr=pipe)

    @property
    def _pid(self) -> int:
        if self._agent is None:
            raise TransientError("the group's machine is not running")
        return self._agent.pid


def last_line(errors: bytes) -> str:
    """Return the end of what a failed program said."""
    return "".join(errors.decode(errors="replace").strip().splitlines()[-1:])
