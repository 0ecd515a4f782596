"""A container's way through the policy: mount_device, mount_overlay, create_container. Only then it may run."""

import hashlib
import signal
from pathlib import Path

from azure_sandbox.guest.api import Denied
from azure_sandbox.guest.containers import Admitted
from azure_sandbox.guest.layers import PulledImage
from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.plan import INVALID_POLICY, ContainerPlan, GroupPlan
from azure_sandbox.guest.process import Process
from azure_sandbox.guest.root_file_system import Recipe, RootFileSystem
from azure_sandbox.guest.users import resolve_user
from azure_sandbox.guest.volumes import Volumes
from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.enforcement import Decision, Enforcer
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.request import Request

LAYER_TARGET = "/run/mounts/scsi/m{number}"
OVERLAY_TARGET = "/run/gcs/c/{container}/rootfs"

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

    Raises:
        Denied: The policy is none that this guest understands, so it refuses everything.
    """

    def __init__(self, plan: GroupPlan, machine: Machine, volumes: Volumes) -> None:
        try:
            self._enforcer = Enforcer(parse_policy(plan.policy.decode()))
        except (PolicyError, UnicodeDecodeError):
            raise Denied(INVALID_POLICY) from None
        self._plan = plan
        self._machine = machine
        self._volumes = volumes
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
        """
        identifier = hashlib.sha256(f"{self._plan.name}/{container.name}".encode()).hexdigest()
        targets = [self._mount_device(layer.root_hash, identifier) for layer in image.layers]
        overlay = OVERLAY_TARGET.format(container=identifier)
        _check(self._enforcer.mount_overlay(identifier, targets[::-1], overlay), identifier)
        config = image.image.config
        recipe = Recipe(
            name=container.name,
            layers=tuple(layer.folder for layer in image.layers),
            working_dir=config.working_dir or "/",
            binds=self._volumes.binds(container),
        )
        root = await recipe.join(self._machine)
        request = self._request(identifier, container, image, root)
        decision = _check(self._enforcer.create_container(request), identifier)
        process = self._process(recipe, request, decision, _stop_signal(config.stop_signal), output)
        return Admitted(process, recipe, root)

    def _mount_device(self, root_hash: str, container: str) -> str:
        if root_hash not in self._devices:
            target = LAYER_TARGET.format(number=len(self._devices))
            _check(self._enforcer.mount_device(target, root_hash), container)
            self._devices[root_hash] = target
        return self._devices[root_hash]

    def _request(self, identifier: str, container: ContainerPlan, image: PulledImage, root: RootFileSystem) -> Request:
        config = image.image.config
        user = resolve_user(container.user(config), root.passwd, root.group)
        return Request(
            container_id=identifier,
            command=container.command_line(config),
            env=container.variables(config, self._plan.hostname),
            working_dir=config.working_dir or "/",
            mounts=self._plan.mount_rules(container),
            privileged=container.privileged,
            no_new_privileges=container.no_new_privileges,
            user=user.user,
            groups=(user.group,),
            capabilities=container.capabilities,
            sandbox_dir=self._plan.sandbox_dir,
        )

    def _process(self, recipe: Recipe, request: Request, decision: Decision, stop_signal: int, output: Path) -> Process:
        environment = request.env if decision.env_list is None else decision.env_list
        stoppable = self._enforcer.signal_container_process(request.container_id, stop_signal, is_init_process=True)
        return Process(
            hostname=self._plan.hostname,
            command=request.command,
            # Added by the machine's agent after the policy has spoken, as the real one does.
            environment=(*environment, f"UVM_SECURITY_CONTEXT_DIR={self._volumes.security_context}"),
            working_dir=request.working_dir,
            uid=int(request.user.id),
            gid=int(request.groups[0].id),
            capabilities=(decision.capabilities or request.capabilities).effective,
            binds=recipe.binds,
            stop_signal=stop_signal if stoppable.allowed else None,
            output=output if decision.allow_stdio_access else None,
        )


def _check(decision: Decision, container: str) -> Decision:
    if decision.allowed:
        return decision
    step, by = STEPS[decision.rule]
    text = REFUSAL.format(step=step.format(container=container), by=by, decision=decision.denial_text())
    raise Denied(text)


def _stop_signal(name: str) -> int:
    """The number of an image's StopSignal, which is a name or a number; TERM if it is neither."""
    if name.isdigit():
        return int(name)
    known = {one.name: one.value for one in signal.Signals}
    return known.get(f"SIG{name.upper().removeprefix('SIG')}", signal.SIGTERM)
