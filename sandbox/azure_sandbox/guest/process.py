"""One process in bubblewrap: exactly the allowed command, variables and mounts, on the measured image, nothing else.

The host's files are out of its sight. It shares the network of its group and has process, ipc, host name and mount
namespaces of its own.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.root_file_system import Bind, RootFileSystem
from azure_sandbox.guest.secure_processor import SecureProcessor
from confidential_summarizer.policy.capabilities import UNPRIVILEGED


@dataclass(frozen=True)
class Process:
    """What was allowed to run.

    Attributes:
        uid, gid: Whom it runs as.
        capabilities: Effective capabilities by the policy, as CAP_… names.
        stop_signal: What asks it to end; None where the policy lets nobody ask.
        output: Where standard output and error go; None: nowhere.
        processor: Answers it when it asks the device for a report.
    """

    hostname: str
    command: tuple[str, ...]
    environment: tuple[str, ...] = field(repr=False)
    working_dir: str
    uid: int
    gid: int
    capabilities: Sequence[str]
    binds: tuple[Bind, ...]
    stop_signal: int | None
    output: Path | None
    processor: SecureProcessor = field(repr=False)

    def command_line(self, arguments: int, information: int) -> list[str]:
        """Return the command line, to be run in the group's namespaces.

        Args:
            arguments: File descriptor that has bubblewrap's arguments; on the command line everybody on the host could
                read the variables.
            information: File descriptor that gets the process's number.
        """
        # bubblewrap makes a user namespace by itself for who is not root; that namespace knows no other user.
        drop = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--"] if self.uid else []
        return [*drop, "bwrap", "--args", str(arguments), "--info-fd", str(information), "--", *self.command]

    def arguments(self, root: RootFileSystem) -> bytes:
        """Return bubblewrap's arguments, as its `--args` wants them."""
        words = ["--die-with-parent", "--new-session", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts"]
        words += ["--hostname", self.hostname, "--bind", str(root.root), "/", "--proc", "/proc", "--dev", "/dev"]
        words += ["--cap-drop", "ALL"]
        for name in self.host_capabilities:
            words += ["--cap-add", name]
        for bind in self.binds:
            destination = root.mounts.get(bind.destination, bind.destination)
            words += ["--ro-bind" if bind.read_only else "--bind", str(bind.source), destination]
        words += ["--chdir", root.mounts[self.working_dir], "--clearenv"]
        for entry in self.environment:
            name, _, value = entry.partition("=")
            words += ["--setenv", name, value]
        return b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)

    @property
    def host_capabilities(self) -> list[str]:
        """What the process really gets: no more than an ordinary container's root.

        On Azure a privileged container has a virtual machine to itself; here it would have the user's machine.
        """
        return [] if self.uid else [name for name in self.capabilities if name in UNPRIVILEGED]


@dataclass
class Started:
    """A process that runs: bubblewrap in front, and the number of the container's own first process."""

    bubblewrap: asyncio.subprocess.Process
    first: int | None


async def start(process: Process, root: RootFileSystem, machine: Machine) -> Started:
    """Start a process on a root file system."""
    near, far = socket.socketpair()
    with near, far, _memory_file(process.arguments(root)) as arguments, _pipe() as (reading, writing):
        output = os.open(process.output or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            bubblewrap = await asyncio.create_subprocess_exec(
                *machine.enter,
                *(sys.executable, "-m", "azure_sandbox.guest.trap", str(far.fileno())),
                *process.command_line(arguments, writing),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(arguments, writing, far.fileno()),
                umask=0o022,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )
        finally:
            os.close(output)
            os.close(writing)
            far.close()
        try:
            for trap in await asyncio.to_thread(_received, near):
                process.processor.watch(trap)
            information = await asyncio.to_thread(_read_all, reading)
        except asyncio.CancelledError:
            bubblewrap.kill()
            raise
    try:
        return Started(bubblewrap, json.loads(information)["child-pid"])
    except ValueError:
        return Started(bubblewrap, None)  # it failed at once; its exit code and output say why


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("arguments")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def _received(channel: socket.socket) -> list[int]:
    """The descriptors that the other side sends; none if it ended before."""
    return socket.recv_fds(channel, 16, 1)[1]


def _read_all(descriptor: int) -> bytes:
    content = b""
    while chunk := os.read(descriptor, 4096):
        content += chunk
    return content
