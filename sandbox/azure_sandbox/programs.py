"""Programs that the machine has to have: found, or asked for by the name of their package."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from confidential_summarizer.errors import SpecError, TransientError

ERROR_LINES = 15
"""How much of a failed command's output an error message quotes."""


def find_program(name: str, package: str) -> str:
    """The absolute path of a program.

    Args:
        name: The program.
        package: The Debian package that has it.

    Raises:
        SpecError: It is not on PATH.
    """
    # Debian keeps some programs where an ordinary user's PATH does not look.
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    if not found:
        raise SpecError(
            f"{name} is not installed; run `sudo apt-get install {package}`, or `make setup-sandbox` for all packages"
        )
    return found


def run_program(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], text: str = "") -> str:
    """Run a program to its end and return what it printed.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        environment: Its whole environment.
        text: For its standard input.

    Raises:
        TransientError: It failed; the message quotes the end of what it said.
    """
    result = subprocess.run(
        command, cwd=folder, env=environment, input=text, capture_output=True, text=True, check=False
    )
    if result.returncode:
        end = "\n".join(result.stderr.splitlines()[-ERROR_LINES:])
        raise TransientError(f"`{' '.join(map(str, command))}` ended with {result.returncode}:\n{end}")
    return result.stdout
