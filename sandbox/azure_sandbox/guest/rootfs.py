"""Joins layers to a container's root file system: `python -m azure_sandbox.guest.rootfs REQUEST`, inside the machine.

The request, as JSON: `old`, the place of a file system to take apart, or null; `place`, a new folder; `layers`,
folders, the topmost first; `folders` and `files`, paths in the container that something will be mounted at. The answer:
`root`, the joined file system; `mounts`, those paths without symbolic links; `passwd` and `group`, the image's user
database.

It looks at the image from inside only (chroot): no link in it can lead to anything of the host.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

MAX_DATABASE = 1 << 20
"""Bytes of /etc/passwd or /etc/group that are read."""


def join(place: Path, layers: list[str]) -> Path:
    """Mount the layers, with a writable one on top.

    Raises:
        subprocess.CalledProcessError: The kernel refused; its words are on standard error.
    """
    folders = [place / name for name in ("upper", "work", "root")]
    for folder in folders:
        folder.mkdir(parents=True)
    upper, work, root = folders
    options = f"lowerdir={':'.join(layers)},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "container", str(root)], check=True)
    return root


def take_apart(place: Path) -> None:
    """Free what a file system of an earlier run holds in memory.

    Raises:
        subprocess.CalledProcessError: It is not mounted.
    """
    subprocess.run(["umount", "--lazy", str(place / "root")], check=True)
    shutil.rmtree(place)


def make_mount_point(path: Path, *, is_file: bool) -> str:
    """Make what will be mounted over, unless it is there, and return its path without symbolic links."""
    real = Path(os.path.realpath(path))
    if is_file:
        real.parent.mkdir(parents=True, exist_ok=True)
        real.touch()
    else:
        real.mkdir(parents=True, exist_ok=True)
    return str(real)


def database(path: Path) -> str:
    """Return a user database's text; empty if the image has none."""
    if not path.is_file():
        return ""
    with path.open(errors="replace") as file:
        return file.read(MAX_DATABASE)


def main() -> None:
    """Answer the request on the command line."""
    request = json.loads(sys.argv[1])
    if request["old"]:
        take_apart(Path(request["old"]))
    root = join(Path(request["place"]), request["layers"])
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)
    mounts = {path: make_mount_point(Path(path), is_file=False) for path in request["folders"]}
    mounts |= {path: make_mount_point(Path(path), is_file=True) for path in request["files"]}
    databases = {name: database(Path("/etc") / name) for name in ("passwd", "group")}
    sys.stdout.write(json.dumps({"root": str(root), "mounts": mounts, **databases}))


if __name__ == "__main__":
    main()
