"""What a machine offers its containers for mounting: volumes, the platform's files, and what attests it."""

from pathlib import Path

from azure_sandbox.guest.api import GroupNetwork
from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.plan import ContainerPlan, GroupPlan, VolumeMount
from azure_sandbox.guest.root_file_system import Bind
from azure_sandbox.guest.secure_processor import REPORT_DEVICE

FUSE = "/dev/fuse"
"""A device of the machine that only privileged containers see; here it shows who is privileged, and does nothing."""


AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where images of Debian and its relatives keep the public authorities, and their OpenSSL looks (cert.pem). Azure's
services are signed for by one of them; here by the sandbox's own, so that the images are the same in both."""


class Volumes:
    """The volumes of one group, in its machine's memory.

    Args:
        plan: The group.
        machine: The machine, booted.
        network: The group's address, and whom it has to trust.
        context: Folder of the security context, and where containers find it.
    """

    def __init__(self, plan: GroupPlan, machine: Machine, network: GroupNetwork, context: tuple[Path, str]) -> None:
        self._plan = plan
        self._machine = machine
        self._context, self.security_context = context
        self._contents = {
            "/etc/resolv.conf": "nameserver 127.0.0.1\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{network.address} {plan.hostname}\n",
            "/etc/hostname": f"{plan.hostname}\n",
            "/dev/termination-log": "",
        }
        self._folders = {volume.name: machine.folder("volumes", volume.name, mode=0o777) for volume in plan.volumes}
        self._authorities = network.authorities
        for volume in plan.volumes:
            for name, content in volume.files.items():
                machine.file(self._folders[volume.name] / name, content)

    def binds(self, container: ContainerPlan) -> tuple[Bind, ...]:
        """Return what is mounted into a container; its own files are made here."""
        files = self._machine.folder("files", container.name)
        platform = [
            Bind(self._machine.file(files / path.rsplit("/", 1)[1], self._contents[path].encode()), path, is_file=True)
            for path in self._plan.platform_files
        ]
        if container.privileged:
            platform.append(Bind(self._machine.file(files / "fuse", b""), FUSE, is_file=True))
        if self._authorities is not None:
            source = self._machine.file(files / "authorities", self._authorities.read_bytes(), mode=0o644)
            platform.append(Bind(source, AUTHORITIES, read_only=True, is_file=True))
        return (
            *(Bind(self._source(mount), mount.path, mount.read_only) for mount in container.mounts),
            *platform,
            Bind(self._context, self.security_context, read_only=True),
            Bind(self._machine.file(files / "sev-guest", b"", mode=0o666), REPORT_DEVICE, is_file=True),
        )

    def _source(self, mount: VolumeMount) -> Path:
        source = self._folders[mount.volume.name] / mount.sub_path
        if mount.sub_path:
            outside = self._machine.outside(source)
            outside.mkdir(parents=True, exist_ok=True)
        return source
