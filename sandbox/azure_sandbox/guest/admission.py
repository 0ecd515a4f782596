"""A container's way through the policy: mount_device, mount_overlay, create_container. Only then it may run."""

import hashlib
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from azure_sandbox.guest.api import Denied
from azure_sandbox.guest.containers import Admitted
from azure_sandbox.guest.engine import Decision, Engine
from azure_sandbox.guest.layers import PulledImage
from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.plan import ContainerPlan, GroupPlan
from azure_sandbox.guest.process import Process
from azure_sandbox.guest.root_file_system import Recipe
from azure_sandbox.guest.secure_processor import SecureProcessor
from azure_sandbox.guest.users import User, resolve_user
from azure_sandbox.guest.volumes import Volumes
from confidential_summarizer.registry import ImageConfig

LAYER_TARGET = "/run/mounts/scsi/m{number}"
OVERLAY_TARGET = "/run/gcs/c/{container}/rootfs"

UMASK = "0022"
"""What a container runtime starts processes with where an image says nothing (hcsshim)."""

REFUSAL = "failed to create containerd task: failed to create shim task: {step} denied {by} policy: {decision}: unknown"
"""How the platform wraps the guest's answer (virtual nodes' troubleshooting guide; hcsshim)."""

STEPS = {
    "mount_device": ("failed to mount container storage: failed to add LCOW layer: mounting scsi device", "by"),
    "mount_overlay": ("failed to mount container storage: overlay creation", "by"),
    "create_container": ("failed to create container {container}: guest RPC failure: container creation", "due to"),
}


class Admission:
    """Takes containers through the policy of their group.

    Args:
        plan: The group.
        machine: The machine, booted.
        volumes: What the machine offers for mounting.
        engine: The group's judge.
        processor: What attests the group.
    """

    def __init__(
        self, plan: GroupPlan, machine: Machine, volumes: Volumes, engine: Engine, processor: SecureProcessor
    ) -> None:
        self._plan = plan
        self._machine = machine
        self._volumes = volumes
        self._engine = engine
        self._processor = processor
        self._devices: dict[str, str] = {}

    async def admit(self, container: ContainerPlan, image: PulledImage, output: Path) -> Admitted:
        """Return what may run.

        Args:
            container: What is asked for.
            image: Its image, measured.
            output: Where its output goes, if the policy lets anybody read that.

        Raises:
            Denied: The policy refused a step.
            ImagePullFailed: The image does not know the user.
            TransientError: The engine has ended.
        """
        identifier = hashlib.sha256(f"{self._plan.name}/{container.name}".encode()).hexdigest()
        targets = [await self._mount_device(layer.root_hash, identifier) for layer in image.layers]
        overlay = {"layerPaths": targets[::-1], "target": OVERLAY_TARGET.format(container=identifier)}
        await self._ask("mount_overlay", identifier, overlay)
        config = image.image.config
        recipe = Recipe(
            name=container.name,
            layers=tuple(layer.folder for layer in image.layers),
            working_dir=config.working_dir or "/",
            binds=self._volumes.binds(container),
        )
        root = await recipe.join(self._machine)
        user = resolve_user(container.user(config), root.passwd, root.group)
        decision = await self._ask("create_container", identifier, self._request(container, config, user))
        stop_signal = _stop_signal(config.stop_signal)
        stop = {"containerID": identifier, "signal": stop_signal, "isInitProcess": True, "argList": []}
        process = Process(
            hostname=self._plan.hostname,
            command=container.command_line(config),
            # Added by the machine's agent after the policy has spoken, as the real one does.
            environment=(*(decision.env or ()), f"UVM_SECURITY_CONTEXT_DIR={self._volumes.security_context}"),
            working_dir=recipe.working_dir,
            uid=int(user.user.id),
            gid=int(user.group.id),
            capabilities=decision.capabilities.effective if decision.capabilities else (),
            binds=recipe.binds,
            stop_signal=stop_signal if (await self._engine.ask("signal_container_process", stop)).allowed else None,
            output=output if decision.allow_stdio else None,
            processor=self._processor,
        )
        return Admitted(process, recipe, root)

    async def _mount_device(self, root_hash: str, container: str) -> str:
        if root_hash not in self._devices:
            target = LAYER_TARGET.format(number=len(self._devices))
            await self._ask("mount_device", container, {"target": target, "deviceHash": root_hash})
            self._devices[root_hash] = target
        return self._devices[root_hash]

    def _request(self, container: ContainerPlan, config: ImageConfig, user: User) -> dict[str, Any]:
        return {
            "sandboxID": self._plan.name,
            "argList": container.command_line(config),
            "envList": container.variables(config, self._plan.hostname),
            "workingDir": config.working_dir or "/",
            "mounts": [asdict(mount) for mount in self._plan.mount_rules(container)],
            "privileged": container.privileged,
            "noNewPrivileges": container.no_new_privileges,
            "user": asdict(user.user),
            "groups": [asdict(user.group)],
            "umask": UMASK,
            "capabilities": asdict(container.capabilities),
        }

    async def _ask(self, point: str, container: str, request: Mapping[str, Any]) -> Decision:
        decision = await self._engine.ask(point, {"containerID": container, **request})
        if decision.allowed:
            return decision
        step, by = STEPS[point]
        raise Denied(REFUSAL.format(step=step.format(container=container), by=by, decision=decision.error))


def _stop_signal(name: str) -> int:
    """The number of an image's StopSignal, which is a name or a number; TERM if it is neither."""
    if name.isdigit():
        return int(name)
    known = {one.name: one.value for one in signal.Signals}
    return known.get(f"SIG{name.upper().removeprefix('SIG')}", signal.SIGTERM)
