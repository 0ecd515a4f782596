"""The sidecar's one job: open every file system of its arguments, in order; the first failure ends it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from attested_release.derivation import file_system_key
from attested_release.errors import ReleaseError
from attested_release.guest import Guest
from attested_release.identity import Identity
from attested_release.release import release_key
from encfs.arguments import FileSystem
from encfs.blob import Blob
from encfs.opening import open_image, publish, withdraw

Say = Callable[[str], None]


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
    mount_point = Path(file_system.mount_point)
    folder = mount_point.parent / f".filesystem-{index}"
    with tempfile.TemporaryDirectory(prefix="remotefs") as private:
        image = Path(private) / "data"
        blob = Blob(file_system.url, file_system.shown_url, identity if file_system.private else None)
        blob.download(image)
        released = release_key(guest, identity, file_system.key)
        mount_point.parent.mkdir(parents=True, exist_ok=True)
        withdraw(folder, mount_point)
        key = file_system_key(released, file_system.salt, file_system.label)
        open_image(image, key, folder, read_write=file_system.read_write)
    publish(folder, mount_point)
