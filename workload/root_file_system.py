"""Copies of Debian what the summarizer loads, and no more, into a folder that becomes the root of its image.

Run where the image is built: `python3 root_file_system.py ROOT FOLDER`. Python comes along, and every library that it
or something below FOLDER is linked with; no shell, no package manager and no other program. The entries of the packages
stay in var/lib/dpkg/status.d, where whoever lists the contents of an image looks for them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

DPKG = Path("/var/lib/dpkg")
PYTHON = Path("/usr/bin/python3")
STANDARD_LIBRARY = Path("/usr/lib/python3.11")
PACKAGES = {"base-files", "libpython3.11-minimal", "libpython3.11-stdlib", "media-types", "python3.11-minimal"}
"""Copied whole; base-files says which Debian this is."""
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
FILES = (AUTHORITIES, "/etc/group", "/etc/nsswitch.conf", "/etc/passwd", str(PYTHON))
"""Copied alone: made by scripts of packages whose other files only serve to make them."""
LEFT_OUT = re.compile(r"/(etc/update-motd\.d|usr/share/(?!common-licenses)|usr/lib/x86_64-linux-gnu/gconv)(/|$)")
"""What Python never reads; gconv alone is a fifth of the whole."""
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/lib/ssl/cert.pem": AUTHORITIES}
"""The roots of a merged /usr, and where OpenSSL looks for authorities."""
FOLDERS = {"dev": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777}


def main() -> None:
    """Fill ROOT."""
    root, folder = Path(sys.argv[1]), Path(sys.argv[2])
    owners = {os.path.realpath(path): package for package in installed() for path in listed(package)}
    libraries = linked([PYTHON, *STANDARD_LIBRARY.rglob("*.so"), *folder.rglob("*.so*")])
    packages = PACKAGES | {owners[library] for library in libraries if library in owners}
    for name, target in LINKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    for path in (*FILES, *(path for package in sorted(packages) for path in listed(package))):
        copy(Path(path), root)
    for name, mode in FOLDERS.items():
        (root / name).mkdir()
        (root / name).chmod(mode)
    describe({*packages, "ca-certificates"}, root / "var/lib/dpkg/status.d")


def installed() -> list[str]:
    """The packages that dpkg knows, as it names their files."""
    return [path.stem for path in (DPKG / "info").glob("*.list")]


def listed(package: str) -> Iterator[str]:
    """The files of a package that are there and of use, symbolic links included."""
    found = [DPKG / "info" / f"{package}{architecture}.list" for architecture in ("", ":amd64")]
    for path in next(each for each in found if each.exists()).read_text().splitlines():
        there = Path(path)
        if not LEFT_OUT.match(path) and (there.is_symlink() or there.is_file()):
            yield path


def linked(files: Iterable[Path]) -> set[str]:
    """The shared libraries that the loader brings in for some files; a missing one ends the build."""
    text = subprocess.run(["ldd", *files], check=True, capture_output=True, text=True).stdout
    if missing := sorted(set(re.findall(r"(\S+) => not found", text))):
        sys.exit(f"the base has no {', '.join(missing)}")
    return {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", text)}


def copy(path: Path, root: Path) -> None:
    """Copy a file or a link, once, to where it really lies: /lib is /usr/lib."""
    target = root / os.path.realpath(path.parent).lstrip("/") / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(target):
        shutil.copy2(path, target, follow_symlinks=False)


def describe(packages: set[str], folder: Path) -> None:
    """Write dpkg's entry of each package into a file of its own."""
    names = {package.partition(":")[0] for package in packages}
    folder.mkdir(parents=True)
    for entry in (DPKG / "status").read_text().split("\n\n"):
        name = entry.partition("\n")[0].removeprefix("Package: ")
        if name in names:
            (folder / name).write_text(entry + "\n")


if __name__ == "__main__":
    main()
