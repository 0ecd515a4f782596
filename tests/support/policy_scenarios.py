"""What a host may ask of a guest: the intended start of a container group, and every way to depart from it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.measurement.layer import MeasuredLayer
from confidential_summarizer.policy.capabilities import PRIVILEGED, UNPRIVILEGED
from confidential_summarizer.policy.contracts import CONTRACTS
from confidential_summarizer.policy.document import Capabilities, ContainerRules, MountRule, Policy
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from confidential_summarizer.registry import ImageConfig, ImageReference, ResolvedImage

DEFAULT_MOUNTS = (
    MountRule("/proc", "proc", ("nosuid", "noexec", "nodev"), "proc"),
    MountRule("/dev", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"), "tmpfs"),
    MountRule("/sys", "sysfs", ("nosuid", "noexec", "nodev", "ro"), "sysfs"),
)
PRIVILEGED_MOUNTS = (MountRule("/sys", "sysfs", ("nosuid", "noexec", "nodev", "rw"), "sysfs"),)
SANDBOX_ID = "5" * 64
SANDBOX = f"/run/gcs/c/{SANDBOX_ID}/sandboxMounts"
LAYER_MOUNT, SCRATCH_MOUNT = "/run/mounts/scsi/m[0-9]+", "/run/gcs/c/[0-9a-fA-F]{64}"
NO_CAPABILITIES = Capabilities((), (), (), (), ())


@dataclass(frozen=True)
class Identity:
    """A user or group as the guest sees it: its number and its name, both as text."""

    id: str
    name: str = ""


@dataclass(frozen=True)
class Request:
    """A process to start: as a container's first one, or in a container that runs; mounts as they are in the guest."""

    container_id: str
    command: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    mounts: tuple[MountRule, ...]
    privileged: bool
    no_new_privileges: bool
    user: Identity
    groups: tuple[Identity, ...]
    capabilities: Capabilities
    umask: str = "0022"
    seccomp_profile_sha256: str = ""
    devices: tuple[str, ...] = ()
    is_sandbox_container: bool = False


def measured_image(reference: str, *layers: str, **config: Any) -> MeasuredImage:
    """An image as if it had been measured."""
    values: dict[str, Any] = {
        "entrypoint": None,
        "cmd": None,
        "env": ("PATH=/usr/bin:/bin",),
        "working_dir": "",
        "user": "",
        "stop_signal": "",
        "architecture": "amd64",
        "os": "linux",
        "diff_ids": (),
    }
    resolved = ResolvedImage(
        reference, ImageReference.parse(reference), "sha256:" + "d" * 64, ImageConfig(**(values | config)), ()
    )
    details = tuple(MeasuredLayer("sha256:" + layer, layer, 1, "none") for layer in layers)
    return MeasuredImage(resolved, details)


APP, SIDECAR = "party1.azurecr.io/app@sha256:" + "a" * 64, "mcr.microsoft.com/aci/encfs@sha256:" + "b" * 64
IMAGES = {
    APP: measured_image(APP, "1" * 64, "2" * 64, "3" * 64, entrypoint=("/app",), cmd=("--serve",), working_dir="/srv"),
    SIDECAR: measured_image(SIDECAR, "1" * 64, "4" * 64, cmd=("/encfs.sh",)),
}
POD = {
    "metadata": {"name": "demo", "labels": {}},
    "spec": {
        "containers": [
            {
                "name": "app",
                "image": APP,
                "env": [{"name": "MODE", "value": "strict"}, {"name": "POD_IP", "valueFrom": {"fieldRef": {}}}],
                "volumeMounts": [{"name": "files", "mountPath": "/mnt/files"}],
                "readinessProbe": {"exec": {"command": ["/app", "--ready"]}},
                "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "allowPrivilegeEscalation": False},
            },
            {
                "name": "encfs",
                "image": SIDECAR,
                "env": [{"name": "EncfsSideCarArgs", "value": "eyJhIjoxfQ=="}],
                "volumeMounts": [{"name": "files", "mountPath": "/mnt/files"}],
                "securityContext": {"privileged": True},
            },
        ],
        "volumes": [{"name": "files", "emptyDir": {}}],
    },
}


@dataclass(frozen=True)
class Command:
    """One request: the enforcement point and its input, as the guest's agent would phrase it."""

    point: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Scenario:
    """Requests in order, under one policy."""

    name: str
    policy: Policy
    commands: tuple[Command, ...]


def policy(**settings: Any) -> Policy:
    """The policy of the pod."""
    return virtual_node_policy(POD, IMAGES, PolicySettings(**settings))


def rules(text: Policy, name: str) -> ContainerRules:
    """One container's rules."""
    return next(item for item in parse_policy(text.text).containers if item.name == name)


def mounts_for(container: ContainerRules) -> tuple[MountRule, ...]:
    """Mounts that fit a container's rules, and the usual ones."""
    own = tuple(
        replace(rule, source=rule.source.replace("sandbox://", SANDBOX).replace(".+", f"volume{number}"))
        for number, rule in enumerate(container.mounts)
    )
    return own + DEFAULT_MOUNTS


def intended(container: ContainerRules, name: str) -> Request:
    """The request that the manifest stands for."""
    env = tuple(rule.pattern for rule in container.env_rules if rule.strategy == "string")
    app = name == "app"
    privileged = container.allow_elevated
    names = PRIVILEGED if privileged else UNPRIVILEGED
    return Request(
        container_id=name,
        command=container.command or (),
        env=(*env, "HOSTNAME=demo", "KUBERNETES_SERVICE_HOST=10.0.0.1"),
        working_dir=container.working_dir,
        mounts=mounts_for(container),
        privileged=privileged,
        no_new_privileges=app,
        user=Identity("1000") if app else Identity("0", "root"),
        groups=(Identity("1000"),) if app else (Identity("0", "root"),),
        capabilities=Capabilities((), names, names, names if privileged else (), names),
    )


def prepared(container: ContainerRules, name: str, *, first: int = 0) -> list[Command]:
    """The requests before a container can start: its layers and its overlay."""
    targets = [f"/run/mounts/scsi/m{first + number}" for number in range(len(container.layers))]
    mounts = [mount_device(target, layer) for target, layer in zip(targets, container.layers, strict=True)]
    return [*mounts, mount_overlay(name, list(reversed(targets)))]


def mount_device(target: str, layer: str) -> Command:
    """Mount a layer."""
    return Command("mount_device", {"target": target, "deviceHash": layer, "mountPathRegex": LAYER_MOUNT})


def mount_overlay(name: str, paths: list[str]) -> Command:
    """Join layers."""
    return Command("mount_overlay", {"containerID": name, "layerPaths": paths, "target": f"/run/gcs/c/{name}/rootfs"})


def create(request: Request) -> Command:
    """Start a container."""
    return Command("create_container", process_input(request) | {
        "sandboxID": SANDBOX_ID,
        "mounts": [asdict(mount) | {"options": list(mount.options)} for mount in request.mounts],
        "devices": list(request.devices),
        "privileged": request.privileged,
        "seccompProfileSHA256": request.seccomp_profile_sha256,
        "isSandboxContainer": request.is_sandbox_container,
    })  # fmt: skip


def execute(request: Request) -> Command:
    """Start a process in a container."""
    return Command("exec_in_container", process_input(request))


def process_input(request: Request) -> dict[str, Any]:
    """The part of the input that both kinds of start share."""
    return {
        "containerID": request.container_id,
        "argList": list(request.command),
        "envList": list(request.env),
        "workingDir": request.working_dir,
        "noNewPrivileges": request.no_new_privileges,
        "user": asdict(request.user),
        "groups": [asdict(group) for group in request.groups],
        "umask": request.umask,
        "capabilities": {name: list(names) for name, names in asdict(request.capabilities).items()},
    }


Change = Callable[[Request], Request]
WITH_EXTRA_ENV: Change = lambda r: replace(r, env=(*r.env, "LD_PRELOAD=/evil.so"))  # noqa: E731
CHANGES: dict[str, Change] = {
    "nothing": lambda r: r,
    "another command": lambda r: replace(r, command=(*r.command, "--debug")),
    "no command": lambda r: replace(r, command=()),
    "an extra variable": WITH_EXTRA_ENV,
    "another value": lambda r: replace(r, env=tuple(v.replace("strict", "lax").replace("eyJ", "eyK") for v in r.env)),
    "a missing variable": lambda r: replace(r, env=tuple(v for v in r.env if not v.startswith(("MODE", "Encfs")))),
    "no variables": lambda r: replace(r, env=()),
    "an allowed wildcard": lambda r: replace(r, env=(*r.env, "POD_IP=10.1.1.1")),
    "an extra mount": lambda r: replace(
        r, mounts=(*r.mounts, MountRule("/etc/shadow", f"{SANDBOX}/tmp/atlas/emptydir/x", ("rbind", "rshared", "rw")))
    ),
    "a mount from elsewhere": lambda r: replace(r, mounts=(replace(r.mounts[0], source="/run/evil"), *r.mounts[1:])),
    "a mount read-only": lambda r: replace(
        r, mounts=(replace(r.mounts[0], options=("rbind", "rshared", "ro")), *r.mounts[1:])
    ),
    "a mount of another type": lambda r: replace(r, mounts=(replace(r.mounts[0], type="tmpfs"), *r.mounts[1:])),
    "fewer mounts": lambda r: replace(r, mounts=r.mounts[2:]),
    "the privileged sysfs": lambda r: replace(r, mounts=(*r.mounts[:-1], *PRIVILEGED_MOUNTS)),
    "privilege": lambda r: replace(r, privileged=True),
    "no privilege": lambda r: replace(r, privileged=False),
    "new privileges": lambda r: replace(r, no_new_privileges=False),
    "no new privileges": lambda r: replace(r, no_new_privileges=True),
    "another user": lambda r: replace(r, user=Identity("0", "root")),
    "another group": lambda r: replace(r, groups=(*r.groups, Identity("4", "adm"))),
    "another umask": lambda r: replace(r, umask="0000"),
    "another directory": lambda r: replace(r, working_dir="/tmp"),
    "another seccomp profile": lambda r: replace(r, seccomp_profile_sha256="f" * 64),
    "a device": lambda r: replace(r, devices=("/dev/sda",)),
    "more capabilities": lambda r: replace(
        r, capabilities=replace(r.capabilities, bounding=(*r.capabilities.bounding, "CAP_SYS_ADMIN", "CAP_NEW"))
    ),
    "fewer capabilities": lambda r: replace(
        r, capabilities=replace(r.capabilities, effective=r.capabilities.effective[2:])
    ),
    "no capabilities": lambda r: replace(r, capabilities=NO_CAPABILITIES),
}


def scenarios() -> Iterator[Scenario]:
    """Every single departure from the intended start, for each container and for several ways to write the policy."""
    for label, settings in {
        "usual": {},
        "strict": {"require_environment": True, "drop_unknown_environment": False, "allow_stdio_access": False},
        "debug": {"debug": True},
        "older contract": {"contract": CONTRACTS["0.10"]},
    }.items():
        text = policy(**settings)
        for name in ("app", "encfs"):
            container = rules(text, name)
            for change, apply in CHANGES.items():
                if label not in {"usual", "strict"} and change not in {"nothing", "an extra variable", "privilege"}:
                    continue
                commands = [*prepared(container, name), create(apply(intended(container, name)))]
                yield Scenario(f"{label}: {name} with {change}", text, tuple(commands))
        yield from lifecycle(label, text)


def lifecycle(label: str, text: Policy) -> Iterator[Scenario]:
    """Layers, overlays, processes, signals and the group's own requests."""
    app, pause = rules(text, "app"), rules(text, "pause-container")
    start = [*prepared(app, "app"), create(intended(app, "app"))]
    asked = intended(app, "app")
    yield Scenario(f"{label}: wrong layers", text, (
        mount_device("/run/mounts/scsi/m0", "9" * 64),
        mount_device("/run/mounts/scsi/m1", "1" * 64),
        mount_device("/run/mounts/scsi/m1", "2" * 64),
        mount_device("/run/mounts/scsi/m2", "2" * 64),
        mount_device("/run/mounts/scsi/m3", "3" * 64),
        mount_overlay("app", ["/run/mounts/scsi/m1", "/run/mounts/scsi/m2", "/run/mounts/scsi/m3"]),
        mount_overlay("app", ["/run/mounts/scsi/m3", "/run/mounts/scsi/m2"]),
        mount_overlay("app", ["/run/mounts/scsi/m3", "/run/mounts/scsi/m2", "/run/mounts/scsi/m1"]),
        mount_overlay("app", ["/run/mounts/scsi/m3", "/run/mounts/scsi/m2", "/run/mounts/scsi/m1"]),
        create(intended(app, "other")),
        Command("unmount_device", {"unmountTarget": "/run/mounts/scsi/m3"}),
        Command("unmount_device", {"unmountTarget": "/run/mounts/scsi/m3"}),
        Command("unmount_overlay", {"unmountTarget": "/run/gcs/c/app/rootfs"}),
        Command("unmount_overlay", {"unmountTarget": "/run/gcs/c/app/rootfs"}),
    ))  # fmt: skip
    yield Scenario(f"{label}: the pause container", text, (
        *prepared(pause, "pause"),
        create(replace(intended(pause, "pause"), env=("TERM=xterm",), mounts=DEFAULT_MOUNTS)),
        create(replace(intended(pause, "pause"), mounts=DEFAULT_MOUNTS)),
    ))  # fmt: skip
    yield Scenario(f"{label}: processes", text, (
        execute(replace(asked, command=("/app", "--ready"))),
        *start,
        create(asked),
        execute(replace(asked, command=("/app", "--ready"))),
        execute(replace(asked, command=("/bin/sh",))),
        execute(replace(asked, command=("/app", "--ready"), working_dir="/")),
        execute(replace(asked, command=("/app", "--ready"), user=Identity("0", "root"))),
        execute(WITH_EXTRA_ENV(replace(asked, command=("/app", "--ready")))),
        Command("exec_external", {"argList": ["/bin/ls"], "envList": ["A=1"], "workingDir": "/"}),
    ))  # fmt: skip
    yield Scenario(f"{label}: signals", text, (
        signal(9, init=True), *start, signal(9, init=True), signal(15, init=True), signal(10, init=True),
        signal(9, init=False, command=["/app", "--ready"]), signal(9, init=False, command=["/bin/true"]),
        Command("shutdown_container", {"containerID": "other"}),
        Command("shutdown_container", {"containerID": "app"}),
    ))  # fmt: skip
    yield Scenario(f"{label}: the group", text, (
        Command("get_properties", {}), Command("dump_stacks", {}), Command("runtime_logging", {}),
        Command("scratch_mount", {"target": "/scratch", "encrypted": False}),
        Command("scratch_mount", {"target": "/scratch", "encrypted": True}),
        Command("scratch_mount", {"target": "/scratch", "encrypted": True}),
        Command("scratch_unmount", {"unmountTarget": "/scratch"}),
        Command("scratch_unmount", {"unmountTarget": "/scratch"}),
    ))  # fmt: skip


def newer_scenarios() -> Iterator[Scenario]:
    """What only newer frameworks know: writable devices, mount points, anchored expressions, the pause container's sysfs."""
    text = policy()
    pause, app = rules(text, "pause-container"), rules(text, "app")
    asked = intended(app, "app")

    def scratch(**changes: Any) -> Command:
        values = {"encrypted": True, "ensureFilesystem": True, "filesystem": "ext4", "mountPathRegex": SCRATCH_MOUNT}
        return Command("rw_mount_device", {"target": "/run/gcs/c/" + "a" * 64, **values, **changes})

    yield Scenario("writable devices", text, (
        scratch(encrypted=False), scratch(ensureFilesystem=False), scratch(filesystem="vfat"),
        scratch(target="/run/gcs/c/short"), scratch(), scratch(),
        Command("unmount_device", {"unmountTarget": "/run/gcs/c/" + "a" * 64}),
        mount_device("/etc", "1" * 64), mount_device("/run/mounts/scsi/m1x", "1" * 64),
    ))  # fmt: skip
    yield Scenario("anchored expressions", text, (
        *prepared(app, "app"),
        create(replace(asked, env=(*asked.env, "EVIL HOSTNAME=x"))),
        create(replace(asked, mounts=(replace(asked.mounts[0], source="/x" + asked.mounts[0].source),))),
    ))  # fmt: skip
    sysfs = replace(PRIVILEGED_MOUNTS[0])
    started = replace(intended(pause, "pause"), mounts=(sysfs,))
    yield Scenario("the pause container's sysfs", text, (
        *prepared(pause, "pause"), create(started), create(replace(started, is_sandbox_container=True)),
    ))  # fmt: skip


def signal(number: int, *, init: bool, command: list[str] | None = None) -> Command:
    """Send a signal to the app."""
    values = {"containerID": "app", "signal": number, "isInitProcess": init, "argList": command or []}
    return Command("signal_container_process", values)
