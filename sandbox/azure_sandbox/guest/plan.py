"""What a container group's body asks of the guest, as values. Pure.

Field names: Microsoft.ContainerInstance/containerGroups 2023-05-01. `args` and `subPath` are ours: they carry what a
pod says and Resource Manager has no field for (sandbox/programs/virtualnode).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from azure_sandbox.guest.api import Denied
from confidential_summarizer.errors import SpecError
from confidential_summarizer.policy.capabilities import capabilities
from confidential_summarizer.policy.document import Capabilities, MountRule
from confidential_summarizer.registry import ImageConfig

INVALID_POLICY = "Security policy is not valid. Please check security policy or re-generate with tooling."
"""What the guest answers to every request while it has no policy that it understands (hcsshim)."""

NODE_TAG, POD_TAG, DEBUG_TAG = "NodeName", "PodName", "sandbox.debuggable"
"""Tags of a group: the first two are set by the virtual node, whose pods get a kubelet's mounts on top; the third one
starts the guest so that the host can debug it, for tests of what refuses such a guest."""

SANDBOX_DIR = "/run/gcs/c/{group}/sandboxMounts"
"""What `sandbox://` stands for in the policy (hcsshim, internal/guest/spec)."""

VOLUMES = "tmp/atlas"
"""The platform's folder for volumes below it, which the policy's sources name."""

READ_WRITE = ("rbind", "rshared", "rw")
READ_ONLY = ("rbind", "rshared", "ro")

GUEST_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")
"""What the guest gives every container, whoever made the group (hcsshim); its own mounts pass every policy."""

POD_FILES = (*GUEST_FILES, "/dev/termination-log")
"""What a kubelet asks for in every container, so that the policy has to allow it."""

GROUP_FILES = GUEST_FILES[:1]
"""What Resource Manager asks for in every container of a group, so that the policy has to allow it."""

SOURCES = {"emptyDir": "emptydir", "secret": "secretsVolume"}
"""The platform's folder for each kind of volume that the sandbox has."""

RestartPolicy = Literal["Always", "OnFailure", "Never"]


@dataclass(frozen=True)
class Volume:
    """A volume of the group: its kind, and the files that a secret brings along."""

    name: str
    kind: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class VolumeMount:
    """A volume, or a folder of it, in a container."""

    volume: Volume
    path: str
    read_only: bool
    sub_path: str = ""


@dataclass(frozen=True)
class ContainerPlan:
    """One container as the body asks for it.

    Attributes:
        command: Replaces the image's entrypoint and arguments; empty: the image's own.
        arguments: Replaces the image's arguments only; None: the image's own.
        run_as: User and group numbers that replace the image's; empty: the image's own.
    """

    name: str
    image: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] | None
    environment: Mapping[str, str] = field(repr=False)
    mounts: tuple[VolumeMount, ...]
    privileged: bool
    no_new_privileges: bool
    run_as: tuple[str, str]
    capabilities: Capabilities
    ports: tuple[int, ...]

    def command_line(self, image: ImageConfig) -> tuple[str, ...]:
        """Return the whole command line, by the rules of Kubernetes and of Resource Manager, which agree here."""
        if self.command:
            return (*self.command, *(self.arguments or ()))
        return (*(image.entrypoint or ()), *(self.arguments if self.arguments is not None else image.cmd or ()))

    def user(self, image: ImageConfig) -> str:
        """Return `user:group` to run as; a group that nobody names is the user's own."""
        user, group = self.run_as
        own_user, _, own_group = image.user.partition(":")
        return f"{user or own_user}:{group or ('' if user else own_group)}"

    def variables(self, image: ImageConfig, hostname: str) -> tuple[str, ...]:
        """Return `NAME=value` of the container over the image's, then what the platform adds."""
        own = dict(entry.partition("=")[::2] for entry in image.env)
        merged = {**own, **self.environment}
        merged.setdefault("HOSTNAME", hostname)
        return tuple(f"{name}={value}" for name, value in merged.items())


@dataclass(frozen=True)
class GroupPlan:
    """A container group as its body asks for it.

    Attributes:
        hostname: What its containers call themselves.
        policy: The decoded policy text.
        debuggable: Whether the guest is started so that the host can debug it.
    """

    name: str
    hostname: str
    policy: bytes = field(repr=False)
    containers: tuple[ContainerPlan, ...]
    init_containers: tuple[ContainerPlan, ...]
    volumes: tuple[Volume, ...]
    restart_policy: RestartPolicy
    on_virtual_node: bool
    debuggable: bool

    @property
    def sandbox_dir(self) -> str:
        """The folder that `sandbox://` stands for."""
        return SANDBOX_DIR.format(group=self.name)

    @property
    def platform_files(self) -> tuple[str, ...]:
        """Paths of the files that the platform mounts into every container."""
        return POD_FILES if self.on_virtual_node else GUEST_FILES

    @property
    def images(self) -> tuple[str, ...]:
        """The images of all containers, each once."""
        return tuple(dict.fromkeys(one.image for one in (*self.init_containers, *self.containers)))

    def mount_rules(self, container: ContainerPlan) -> tuple[MountRule, ...]:
        """Return the mounts of a container as the policy sees them."""
        kind = "emptydir" if self.on_virtual_node else "resolvconf"
        volumes = [
            MountRule(
                mount.path,
                self._source(SOURCES[mount.volume.kind], mount.volume.name),
                READ_ONLY if mount.read_only else READ_WRITE,
            )
            for mount in container.mounts
        ]
        asked = POD_FILES if self.on_virtual_node else GROUP_FILES
        files = [MountRule(path, self._source(kind, path.rsplit("/", 1)[1]), READ_WRITE) for path in asked]
        return (*volumes, *files)

    def _source(self, kind: str, name: str) -> str:
        return f"{self.sandbox_dir}/{VOLUMES}/{kind}/{name}"


def group_plan(group: Mapping[str, Any]) -> GroupPlan:
    """Read a body.

    Raises:
        Denied: The policy is not base64: no guest accepts it.
        SpecError: A volume is of a kind that the sandbox does not have, is malformed, or a mount leads out of it.
    """
    properties, tags = group["properties"], group.get("tags") or {}
    encoded = (properties.get("confidentialComputeProperties") or {}).get("ccePolicy") or ""
    try:
        policy = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Denied(INVALID_POLICY) from None
    volumes = {volume.name: volume for volume in map(_volume, properties.get("volumes") or ())}
    return GroupPlan(
        name=group["name"],
        hostname=tags.get(POD_TAG) or group["name"],
        policy=policy,
        containers=tuple(_container(entry, volumes) for entry in properties["containers"]),
        init_containers=tuple(_container(entry, volumes) for entry in properties.get("initContainers") or ()),
        volumes=tuple(volumes.values()),
        restart_policy=properties.get("restartPolicy") or "Always",
        on_virtual_node=NODE_TAG in tags,
        debuggable=tags.get(DEBUG_TAG) == "true",
    )


def _volume(entry: Mapping[str, Any]) -> Volume:
    kind = next((kind for kind in SOURCES if entry.get(kind) is not None), None)
    if kind is None:
        raise SpecError(f"volume {entry['name']}: the sandbox has emptyDir and secret volumes only")
    files = entry["secret"] if kind == "secret" else {}
    return Volume(entry["name"], kind, {name: _secret(entry["name"], name, text) for name, text in files.items()})


def _secret(volume: str, name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SpecError(f"volume {volume}: its secret {name} is not base64") from None


def _container(entry: Mapping[str, Any], volumes: Mapping[str, Volume]) -> ContainerPlan:
    properties = entry["properties"]
    security = properties.get("securityContext") or {}
    privileged = bool(security.get("privileged"))
    changes = security.get("capabilities") or {}
    arguments = properties.get("args")
    return ContainerPlan(
        name=entry["name"],
        image=properties["image"],
        command=tuple(properties.get("command") or ()),
        arguments=None if arguments is None else tuple(arguments),
        environment=dict(map(_variable, properties.get("environmentVariables") or ())),
        mounts=tuple(_mount(mount, volumes) for mount in properties.get("volumeMounts") or ()),
        privileged=privileged,
        no_new_privileges=security.get("allowPrivilegeEscalation") is False,
        run_as=(_number(security.get("runAsUser")), _number(security.get("runAsGroup"))),
        capabilities=capabilities(privileged=privileged, add=changes.get("add") or (), drop=changes.get("drop") or ()),
        ports=tuple(port["port"] for port in properties.get("ports") or ()),
    )


def _variable(entry: Mapping[str, Any]) -> tuple[str, str]:
    value = entry.get("value")
    return entry["name"], str(entry.get("secureValue") or "") if value is None else str(value)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _mount(entry: Mapping[str, Any], volumes: Mapping[str, Volume]) -> VolumeMount:
    sub_path = entry.get("subPath") or ""
    if ".." in sub_path.split("/"):
        raise SpecError(f"volume {entry['name']}: subPath {sub_path!r} leads out of the volume")
    return VolumeMount(volumes[entry["name"]], entry["mountPath"], bool(entry.get("readOnly")), sub_path)
