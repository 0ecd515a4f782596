"""From a sealed image and its key to a folder with its files, without device-mapper and mounts.

cryptsetup decrypts the downloaded copy in place (offline reencryption), debugfs writes out the files.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attested_release.errors import ReleaseError

LOST_AND_FOUND = "lost+found"
ANY_WRITE = 0o222

LUKS = b"LUKS\xba\xbe\x00\x02"
"""How the primary header of a LUKS2 image begins."""

WRONG_KEY = "No key available"
"""What cryptsetup says (2.6) where the cause is the key."""

OWNERSHIP = "while changing ownership"
"""debugfs in a user namespace cannot give files to owners that the namespace does not have."""

ADMIN_PATHS = "/usr/sbin:/sbin"


def open_image(image: Path, key: bytes, folder: Path, *, read_write: bool) -> None:
    """Write the files of a sealed image into a new folder.

    Args:
        image: A copy of the image; it is decrypted in place and of no use afterwards.
        key: The key; it is in a file of mode 0600 while cryptsetup reads it.
        folder: Made here. Owners and modes are those of the image, without write permission unless `read_write`.
        read_write: Whether the files may be changed.

    Raises:
        ReleaseError: The key does not open the image, or it is no sealed file system.
    """
    _decrypt(image, key)
    folder.mkdir()
    said = _run(["debugfs", "-R", "rdump / .", str(image.absolute())], folder)
    lines = [line for line in said.splitlines() if not line.startswith("debugfs ") and OWNERSHIP not in line]
    if problem := next((line for line in lines if ": " in line), None):
        raise ReleaseError(f"the decrypted image holds no readable ext4 file system: {problem.strip()}")
    with suppress(FileNotFoundError, OSError):
        (folder / LOST_AND_FOUND).rmdir()  # mke2fs makes it; a sealed folder of that name with content stays
    if not read_write:
        _forbid_writing(folder)


def publish(folder: Path, mount_point: Path) -> None:
    """Make an opened file system appear at its mount point, in one step: a relative link, the readiness signal."""
    with tempfile.TemporaryDirectory(dir=mount_point.parent, prefix=".link-") as staging:
        link = Path(staging) / "link"
        link.symlink_to(folder.name)
        link.replace(mount_point)


def refuse_leftovers(index: int, folder: Path, mount_point: Path) -> None:
    """Fail as the real sidecar does in a machine where one of its kind ran before: it takes nothing down.

    Raises:
        ReleaseError: The device or the link is there already.
    """
    device = f"remote-crypt-{index}"
    if folder.exists():
        raise ReleaseError(f"cryptsetup open failed: {device}: Device {device} already exists.")
    if mount_point.is_symlink() or mount_point.exists():
        raise ReleaseError(f"failed to symlink filesystem-{index}: {mount_point}: file exists")


def _decrypt(image: Path, key: bytes) -> None:
    with image.open("rb") as file:
        if file.read(len(LUKS)) != LUKS:
            raise ReleaseError("the blob is no sealed image (LUKS2)")
    with tempfile.TemporaryDirectory(prefix="remotefs") as private:  # mode 0700
        key_file = Path(private) / "keyfile"
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        header = str(Path(private) / "header")
        options = ["--key-file", str(key_file), "--batch-mode", "--force-offline-reencrypt", "--disable-locks"]
        try:
            _run(["cryptsetup", "reencrypt", "--decrypt", *options, "--header", header, str(image)], Path("/"))
        except ReleaseError as error:
            if WRONG_KEY in str(error):
                raise ReleaseError("the released key does not open the image: it was sealed with another one") from None
            raise


def _run(command: Sequence[str], folder: Path) -> str:
    environment = {"PATH": f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATHS}", "LC_ALL": "C"}
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise ReleaseError(f"{command[0]} is not in this image") from None
    if result.returncode:
        words = " ".join((result.stderr or result.stdout).split())[-300:]
        raise ReleaseError(f"{command[0]} ended with {result.returncode}: {words}")
    return result.stdout + result.stderr


def _forbid_writing(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~ANY_WRITE)
    folder.chmod(folder.stat().st_mode & ~ANY_WRITE)
