"""The sidecar's one job: open every file system of its arguments, in order; the first failure ends it."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from attested_release.derivation import file_system_key
from attested_release.errors import ReleaseError
from attested_release.guest import Guest
from attested_release.identity import Identity
from attested_release.release import release_key
from encfs.arguments import FileSystem
from encfs.blob import PAGE_BLOB, Blob
from encfs.opening import open_image, publish, refuse_leftovers

Say = Callable[[str], None]

FUSE = Path("/dev/fuse")
"""Only a privileged container has it; without it the real sidecar sees no image and gives up after a minute."""


def open_all(file_systems: tuple[FileSystem, ...], guest: Guest, identity: Identity, say: Say) -> None:
    """Open the file systems; those before a failure stay open.

    Args:
        file_systems: In the order of the arguments.
        guest: Who is attested.
        identity: Reads the blobs and asks the vaults.
        say: Told about each one that is open.

    Raises:
        ReleaseError: One cannot be opened; the message names it.
    """
    for index, file_system in enumerate(file_systems):
        try:
            open_one(index, file_system, guest, identity)
        except ReleaseError as error:
            raise ReleaseError(f"file system {index} at {file_system.mount_point} is not opened: {error}") from None
        say(f"file system {index} is open at {file_system.mount_point}")
        if file_system.read_write:
            say(f"changes below {file_system.mount_point} stay in this container group: the sandbox writes none back")


def open_one(index: int, file_system: FileSystem, guest: Guest, identity: Identity) -> None:
    """Open one file system: image, key, files, and last of all the link.

    Raises:
        ReleaseError: It cannot be opened.
    """
    if not FUSE.exists():
        raise ReleaseError(
            f"timed out while waiting for encrypted filesystem image: there is no {FUSE}, the sidecar is not privileged"
        )
    mount_point = Path(file_system.mount_point)
    folder = mount_point.parent / f".filesystem-{index}"
    with tempfile.TemporaryDirectory(prefix="remotefs") as private:
        image = Path(private) / "data"
        blob = Blob(file_system.url, file_system.shown_url, identity if file_system.private else None)
        kind = blob.download(image)
        released = release_key(guest, identity, file_system.key)
        mount_point.parent.mkdir(parents=True, exist_ok=True)
        refuse_leftovers(index, folder, mount_point)
        key = file_system_key(released, file_system.salt, file_system.label)
        open_image(image, key, folder, read_write=file_system.read_write)
        if file_system.read_write and kind != PAGE_BLOB:
            shutil.rmtree(folder)  # nothing is mounted there
            device = f"/dev/mapper/remote-crypt-{index}"
            raise ReleaseError(f"failed to mount filesystem: {device}: input/output error: the image is a {kind}")
    publish(folder, mount_point)
