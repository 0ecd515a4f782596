"""A container's root file system as the host's side knows it: what it is made of, and how it is made afresh."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_sandbox.guest.machine import MEMORY, Machine

OWN_TREES = ("/dev", "/proc")
"""What bubblewrap makes afresh in each container, mount points below included."""


@dataclass(frozen=True)
class Bind:
    """A file or folder of the machine's memory in a container."""

    source: Path
    destination: str
    read_only: bool = False
    is_file: bool = False

    @property
    def on_image(self) -> bool:
        """Whether the image has to have something to mount over."""
        return not self.destination.startswith(tuple(f"{tree}/" for tree in OWN_TREES))


@dataclass(frozen=True)
class RootFileSystem:
    """Joined layers in the machine, with a writable one of the container's own on top.

    Attributes:
        root: The folder.
        mounts: Each mount point's path without symbolic links.
        passwd, group: The image's user database.
    """

    place: Path
    root: Path
    mounts: dict[str, str]
    passwd: str
    group: str


@dataclass(frozen=True)
class Recipe:
    """How to join a container's root file system, as often as it starts.

    Attributes:
        layers: Folders of the layers, base first.
        binds: What will be mounted over.
    """

    name: str
    layers: tuple[Path, ...]
    working_dir: str
    binds: tuple[Bind, ...]

    async def join(self, machine: Machine, old: RootFileSystem | None = None) -> RootFileSystem:
        """Make a fresh root file system, and take an old one apart.

        Raises:
            TransientError: The kernel refused it.
        """
        number = int(old.place.name) + 1 if old else 1
        place = MEMORY / "containers" / self.name / str(number)
        on_image = [bind for bind in self.binds if bind.on_image]
        request: dict[str, Any] = {
            "old": str(old.place) if old else None,
            "place": str(place),
            "layers": [str(folder) for folder in reversed(self.layers)],
            "folders": [*OWN_TREES, self.working_dir, *(bind.destination for bind in on_image if not bind.is_file)],
            "files": [bind.destination for bind in on_image if bind.is_file],
        }
        answer = await machine.run("azure_sandbox.guest.rootfs", request)
        return RootFileSystem(place, Path(answer["root"]), answer["mounts"], answer["passwd"], answer["group"])
