"""Processes that outlive the command that started them: one log and one pid file each.

A pid file holds what tells the process from a later one that got the same number: its start time and the boot it
belongs to. A process that does not match is never signalled.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from azure_sandbox.state import SandboxState, write_private
from confidential_summarizer.errors import SpecError, TransientError

POLL_SECONDS = 0.05
"""How often a wait looks again; short against the seconds that a start takes."""

KILL_SECONDS = 5.0
"""How long a process may take to vanish after SIGKILL; longer means it hangs in the kernel."""

LOG_TAIL_LINES = 12
"""How much of a log an error message quotes."""

STDERR = 2
"""The last of the standard file descriptors."""

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
"""What a process takes over from the caller's shell; nothing else there, a proxy say, may change how it behaves."""


@dataclass(frozen=True)
class Command:
    """What to run as one supervised process.

    Attributes:
        name: Names the log and the pid file.
        arguments: The program, as an absolute path, and its arguments.
        environment: Added to what `INHERITED` lets through.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """One process, told apart from every other one, before and after it."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a running process; None where there is none, or only its exit status is left."""
        try:
            # The second field is the command's name in parentheses, which may hold anything (proc_pid_stat(5)).
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, start_ticks = fields[0], int(fields[19])
        if state in "ZX":
            return None
        return cls(pid, start_ticks, Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        with suppress(ChildProcessError):  # it is our own child only if this Python process started it
            os.waitpid(self.pid, os.WNOHANG)
        return Identity.of(self.pid) == self


def running(state: SandboxState, name: str) -> Identity | None:
    """The process that was started under this name, if it still runs."""
    try:
        identity = Identity(**json.loads(_pid_file(state, name).read_text()))
    except FileNotFoundError:
        return None
    return identity if identity.is_alive else None


def started(state: SandboxState) -> list[str]:
    """The names of all processes that were started and not stopped, whether they still run or not."""
    return sorted(file.stem for file in state.run.glob("*.pid"))


def died(state: SandboxState, name: str) -> bool:
    """Whether a process was started under this name, was not stopped, and is gone."""
    return _pid_file(state, name).exists() and running(state, name) is None


def start(state: SandboxState, command: Command) -> Identity:
    """Start a process in a session of its own, unless the one of that name runs already.

    Raises:
        SpecError: The program does not exist or cannot be executed.
        TransientError: It ended at once.
    """
    if already := running(state, command.name):
        return already
    log = os.open(state.log(command.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        pid = os.posix_spawn(
            command.arguments[0],
            list(command.arguments),
            {**{name: os.environ[name] for name in INHERITED if name in os.environ}, **command.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited_files()),
            ],
            setsid=True,
        )
    except OSError as error:
        raise SpecError(f"{command.name} cannot be started: {command.arguments[0]}: {error.strerror}") from error
    finally:
        os.close(log)
    identity = Identity.of(pid)
    if identity is None:
        raise TransientError(f"{command.name} ended at once{_log_tail(state, command.name)}")
    write_private(_pid_file(state, command.name), json.dumps(vars(identity)))
    return identity


def _inherited_files() -> list[int]:
    """Files that this process was given and would pass on, such as a lock, which would outlive its holder."""
    inherited = []
    for number in (int(entry.name) for entry in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the listing itself had one open
            if number > STDERR and os.get_inheritable(number):
                inherited.append(number)
    return inherited


def stop(state: SandboxState, name: str, seconds: float = 20.0) -> bool:
    """Ask a process to end, and kill it with everything in its session's group when it has not after `seconds`.

    Returns:
        Whether there was one to stop.

    Raises:
        TransientError: It survived SIGKILL.
    """
    identity = running(state, name)
    if identity is not None:
        _signal(identity, signal.SIGTERM)
        if not _wait_gone(identity, seconds):
            with suppress(ProcessLookupError):
                os.killpg(identity.pid, signal.SIGKILL)
            if not _wait_gone(identity, KILL_SECONDS):
                raise TransientError(f"{name} (process {identity.pid}) does not end; see `ps -o wchan {identity.pid}`")
    _pid_file(state, name).unlink(missing_ok=True)
    return identity is not None


def wait_until(
    state: SandboxState, name: str, is_ready: Callable[[], bool], seconds: float, what: str | None = None
) -> None:
    """Wait for a started process to be of use.

    Args:
        state: The sandbox's files.
        name: The process that has to stay alive meanwhile.
        is_ready: Asked again and again; it should answer quickly.
        seconds: The deadline.
        what: What is waited for, for the error message; the process's name by default.

    Raises:
        TransientError: The process ended, or the deadline passed. The message quotes the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if running(state, name) is None:
            raise TransientError(f"{name} ended while it was starting{_log_tail(state, name)}")
        if time.monotonic() > deadline:
            raise TransientError(f"{what or name} was not ready after {seconds:.0f} s{_log_tail(state, name)}")
        time.sleep(POLL_SECONDS)


def _signal(identity: Identity, number: signal.Signals) -> None:
    """Signal exactly this process: the pidfd is opened first, and checked before it is used."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(identity.pid)
        try:
            if identity.is_alive:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _wait_gone(identity: Identity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while identity.is_alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _pid_file(state: SandboxState, name: str) -> Path:
    return state.run / f"{name}.pid"


def _log_tail(state: SandboxState, name: str) -> str:
    path = state.log(name)
    lines = path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if path.exists() else []
    return f"; the end of {path}:\n" + "\n".join(f"  {line}" for line in lines)
