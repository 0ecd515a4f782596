"""The root file system below the sandbox's images: Debian's smallest, made with debootstrap, since none can be pulled.

It is made once for each set of packages and kept as a tar in the cache folder. Modification times are those of Debian's
packages, so that the compiled Python modules in it stay valid.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from azure_sandbox.programs import find_program, run_program
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState, cache_directory, locked
from confidential_summarizer.errors import SpecError, TransientError

SUITE = "bookworm"
"""Debian 12: its Python is 3.11, which the wheels and the sidecars are for."""

ARCHIVE = "CSUM_DEBIAN_ARCHIVE"
"""In the environment, the URL of Debian's archive; from that of one day the same tar is made for ever."""

RECIPE = "1"
"""Raise it when the contents change for the same packages."""

LOG_LINES = 5
"""How much of debootstrap's log an error message quotes."""

REMOVED = (
    "etc/hostname",
    "etc/resolv.conf",  # the group's own is put there
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "var/log",
)
"""What no container reads: a third of the whole."""

KEPT_EMPTY = ("proc", "sys", "dev", "run", "tmp", "var/log", "var/cache/apt", "var/lib/apt/lists")


def base(name: str, packages: Iterable[str], state: SandboxState, report: Report) -> Path:
    """Return the tar of a root file system with these packages, made at first use.

    Args:
        name: Names the tar in the cache folder.
        packages: Debian packages beside the smallest system's own.
        state: Whose proxy settings must not be used for the download.
        report: Told about each step.

    Raises:
        SpecError: debootstrap is not installed, or the user is not root.
        TransientError: The download failed.
    """
    wanted = sorted(packages)
    source = [archive] if (archive := os.environ.get(ARCHIVE)) else []
    digest = hashlib.sha256("\0".join((RECIPE, SUITE, *wanted, *source)).encode()).hexdigest()
    tar = cache_directory() / f"{name}-{SUITE}-{digest[:12]}.tar"
    with locked(Path(f"{tar}.lock")):
        if not tar.exists():
            _make(tar, wanted, source, state.outside_environment(), report)
    return tar


def _make(tar: Path, packages: list[str], source: list[str], environment: Mapping[str, str], report: Report) -> None:
    program = find_program("debootstrap", "debootstrap")
    if os.geteuid() != 0:
        raise SpecError("the base image is made with debootstrap, which needs root: run `csum sandbox up` as root once")
    report(f"base image: downloading and unpacking Debian {SUITE} (about a minute, once)")
    with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="base-building-") as folder:
        root = Path(folder) / "root"
        command = [program, "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(root)]
        # dpkg otherwise waits for the disk after each file; a half-made system is thrown away anyway
        settings = {**environment, "DPKG_FORCE": "unsafe-io", "LC_ALL": "C"}
        _debootstrap(["nice", "-n", "5", *command, *(source or _mirror(environment))], root, settings)
        made = _release_date(root)
        _slim(root)
        report("base image: packing")
        packed = Path(folder) / "base.tar"
        run_program(_tar(root, packed, made), Path("/"), settings)
        packed.rename(tar)


def _debootstrap(command: list[str], root: Path, environment: Mapping[str, str]) -> None:
    try:
        run_program(command, Path("/"), environment)
    except TransientError as error:
        log = root / "debootstrap" / "debootstrap.log"
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        raise TransientError("the base image was not made: " + "\n".join(lines or [str(error)])) from error


def _mirror(environment: Mapping[str, str]) -> list[str]:
    """The mirror that this machine's apt uses for the suite; empty, which means debootstrap's own, if it has none."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)", "Identifier: Packages"]
    try:
        listed = run_program(command, Path("/"), environment)
    except (OSError, TransientError):
        return []
    for line in listed.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == f"Debian {SUITE}":
            return [uri]
    return []


def _release_date(root: Path) -> datetime:
    """When the archive's index was made, which nothing of Debian's in the tar is newer than."""
    for path in sorted((root / "var/lib/apt/lists").glob("*Release")):
        if found := re.search(r"^Date: (.+)$", path.read_text(errors="replace"), re.MULTILINE):
            return parsedate_to_datetime(found[1])
    return datetime(2023, 6, 10, tzinfo=UTC)  # Debian 12's release


def _slim(root: Path) -> None:
    for name in REMOVED:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in KEPT_EMPTY:
        (root / name).mkdir(exist_ok=True)


def _tar(root: Path, target: Path, newest: datetime) -> list[str]:
    """The command that packs a folder the same way every time."""
    return [
        "tar", "--create", f"--file={target}", f"--directory={root}", "--sort=name", "--numeric-owner",
        "--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        "--clamp-mtime", f"--mtime=@{int(newest.timestamp())}", "--one-file-system",
        # Only the folders themselves: debootstrap leaves devices there, and may leave /proc mounted.
        *(f"--exclude=./{name}/*" for name in ("proc", "sys", "dev", "run", "tmp")), ".",
    ]  # fmt: skip
