"""Run the programs that make and read file systems: mke2fs and debugfs (e2fsprogs), cryptsetup."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from confidential_summarizer.errors import SealingError

_PACKAGES = {"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "cryptsetup": "cryptsetup-bin"}

_ADMIN_PATHS = "/usr/sbin:/sbin"
"""Where distributions keep these programs; not on the path of an ordinary user, who may run them all the same."""

_ENVIRONMENT = {"LC_ALL": "C", "MKE2FS_CONFIG": os.devnull}
"""Messages in one language, and no defaults of the machine's: every option of the file system is given by us."""


def run_tool(
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    descriptors: Sequence[int] = (),
    directory: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program to its end and return what it printed, in which names are as `os.fsdecode` makes them.

    Args:
        arguments: The program and its arguments. A key never goes here: other users can read them.
        stdin: Given to the program through a pipe; the place for a key.
        descriptors: Open files that the program reaches as /proc/self/fd/N.
        directory: Where the program runs.
        on_line: Called with each line of its output, as it comes.

    Raises:
        SealingError: The program is not installed or failed.
    """
    program = find_tool(arguments[0])
    environment: Mapping[str, str] = {**os.environ, **_ENVIRONMENT}
    with subprocess.Popen(
        [program, *arguments[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(descriptors),
        cwd=directory,
        env=environment,
    ) as process:
        try:
            output = _converse(process, stdin, on_line)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise SealingError(f"{arguments[0]} failed ({process.returncode}): {_last_words(output)}")
    return output


def find_tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        SealingError: It is not installed; the message names the package.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_ADMIN_PATHS}")
    if path is None:
        raise SealingError(f"{name} is not installed; on Debian and Ubuntu: apt install {_PACKAGES.get(name, name)}")
    return path


def _converse(process: "subprocess.Popen[bytes]", stdin: bytes, on_line: Callable[[str], None] | None) -> str:
    if on_line is None:
        return os.fsdecode(process.communicate(stdin)[0])
    assert process.stdin is not None  # noqa: S101 - both were asked for
    assert process.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):  # it ended before it read; its exit status and last words say why
        process.stdin.write(stdin)
        process.stdin.close()
    lines = []
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        lines.append(line)
        on_line(line)
    process.wait()
    return "\n".join(lines)


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("{")]
    return "; ".join(lines[-3:]) or "no message"
