"""A container group's life: pull and measure, ask the policy, and only then run. What runs is what was measured."""

import asyncio
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azure_sandbox.guest.admission import Admission
from azure_sandbox.guest.api import (
    Denied,
    GroupNetwork,
    GroupStateName,
    GroupView,
    ImagePullFailed,
    InitContainerFailed,
    ReportSource,
)
from azure_sandbox.guest.containers import Admitted, Container
from azure_sandbox.guest.engine import Engine
from azure_sandbox.guest.ingress import Ingress
from azure_sandbox.guest.layers import Images, PulledImage
from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.plan import ContainerPlan, GroupPlan, RestartPolicy, group_plan
from azure_sandbox.guest.secure_processor import SecureProcessor, write_security_context
from azure_sandbox.guest.volumes import Volumes

NO_OUTPUT = "The policy of this container group does not allow access to the container's output.\n"

LOG_BYTES = 4 << 20
"""The newest output that `logs` gives; the service keeps no more either."""


class GroupGuest:
    """The inside of one container group; see `api.Guest`.

    Args:
        group: The ARM resource as the client sent it.
        directory: The group's own folder: output that may be read lies there, and nothing else.
        network: Its way out and its address.
        source: The secure processor.
    """

    def __init__(self, group: Mapping[str, Any], directory: Path, network: GroupNetwork, source: ReportSource) -> None:
        properties = group["properties"]
        policy: RestartPolicy = properties.get("restartPolicy") or "Always"
        # An init container that has done its work is not run again.
        init_policy: RestartPolicy = "Never" if policy == "Never" else "OnFailure"
        self._group = group
        self._output = directory / "output"
        self._network = network
        self._source = source
        self._containers = {one["name"]: Container(one["name"], policy) for one in properties["containers"]}
        self._init = {
            one["name"]: Container(one["name"], init_policy) for one in properties.get("initContainers") or ()
        }
        self._machine = Machine(network)
        self._processor: SecureProcessor | None = None
        self._engine: Engine | None = None
        self._ingress = Ingress(network.address, self._machine.ingress)
        self._admitted: dict[str, Admitted] = {}
        self._stopped = False

    async def check_images(self) -> None:
        """See `api.Guest.check_images`."""
        plan = group_plan(self._group)
        async with Images(self._network.registries) as images:
            await images.check(plan.images)

    async def start(self) -> None:
        """See `api.Guest.start`."""
        await self.stop()
        self._stopped = False
        try:
            await self._run(group_plan(self._group))
        except BaseException:
            await self._halt()
            raise

    async def restart(self) -> None:
        """See `api.Guest.restart`."""
        if not self._admitted:
            await self.start()
            return
        await asyncio.gather(*(one.stop() for one in self._containers.values()))
        for name, container in self._containers.items():
            container.restarts += 1
            await container.start(self._admitted[name], self._machine)

    async def stop(self) -> None:
        """See `api.Guest.stop`."""
        await self._halt()
        self._stopped = True

    def observe(self) -> GroupView:
        """See `api.Guest.observe`."""
        containers = tuple(one.view() for one in self._containers.values())
        init_containers = tuple(one.view() for one in self._init.values())
        return GroupView(self._state(), (), containers, init_containers)

    def logs(self, container: str, tail: int | None) -> str:
        """See `api.Guest.logs`."""
        process = (self._init.get(container) or self._containers[container]).process
        if process is None:
            return ""
        if process.output is None:
            return NO_OUTPUT
        if not process.output.exists():
            return ""
        lines = _end_of(process.output).decode(errors="replace").splitlines(keepends=True)
        return "".join(lines if tail is None else lines[len(lines) - min(tail, len(lines)) :])

    async def _run(self, plan: GroupPlan) -> None:
        """Boot, pull everything, then let each container through the policy and start it."""
        for keeper in (*self._init.values(), *self._containers.values()):
            keeper.expect()
        await asyncio.to_thread(shutil.rmtree, self._output, ignore_errors=True)
        self._output.mkdir(parents=True)
        await self._machine.boot()
        admission = await self._admission(plan)
        images = await self._pull(plan)
        for container in plan.init_containers:
            keeper = self._init[container.name]
            admitted = await self._admit(keeper, container, images, admission)
            if code := await keeper.finish(admitted, self._machine):
                raise InitContainerFailed(f"Init container {container.name} ended with exit code {code}.")
        # All of them are let in before the first one runs: a group that is refused in part runs in no part.
        admitted_by_name = {
            one.name: await self._admit(self._containers[one.name], one, images, admission) for one in plan.containers
        }
        for name, admitted in admitted_by_name.items():
            await self._containers[name].start(admitted, self._machine)
        await self._ingress.up(port for one in plan.containers for port in one.ports)
        self._admitted = admitted_by_name

    async def _admission(self, plan: GroupPlan) -> Admission:
        host_data = hashlib.sha256(plan.policy).digest()
        self._processor = SecureProcessor(self._source, host_data, debuggable=plan.debuggable)
        context = write_security_context(self._machine, self._source, plan.policy)
        volumes = Volumes(plan, self._machine, self._network, context)
        self._engine = await Engine.open(plan.policy)
        return Admission(plan, self._machine, volumes, self._engine, self._processor)

    async def _pull(self, plan: GroupPlan) -> dict[str, PulledImage]:
        keepers = {**self._init, **self._containers}
        wanted = [(keepers[one.name], one.image) for one in (*plan.init_containers, *plan.containers)]
        for keeper, image in wanted:
            keeper.note("Pulling", f'pulling image "{image}"')
        try:
            async with Images(self._network.registries) as images:
                pulled = await images.pull(plan.images, self._machine)
        except ImagePullFailed as error:
            for keeper, image in wanted:
                if image in str(error):
                    keeper.note("Failed", str(error), "Warning")
            raise
        for keeper, image in wanted:
            keeper.note("Pulled", f'Successfully pulled image "{image}"')
        return pulled

    async def _admit(
        self, keeper: Container, container: ContainerPlan, images: Mapping[str, PulledImage], admission: Admission
    ) -> Admitted:
        try:
            return await admission.admit(container, images[container.image], self._output / container.name)
        except Denied as error:
            keeper.refuse(str(error))
            raise

    async def _halt(self) -> None:
        """End everything that runs and free everything that it had."""
        self._admitted = {}
        await self._ingress.down()
        await asyncio.gather(*(one.stop() for one in (*self._init.values(), *self._containers.values())))
        if self._engine is not None:
            await self._engine.close()
            self._engine = None
        if self._processor is not None:
            self._processor.down()
            self._processor = None
        await self._machine.halt()

    def _state(self) -> GroupStateName:
        if self._stopped:
            return "Stopped"
        states = [one.state for one in self._containers.values()]
        failed = any(one.restart_policy == "Never" and one.state.exit_code for one in self._init.values())
        if any(state.state == "Running" for state in states):
            return "Running"
        if all(state.state == "Terminated" for state in states):
            return "Failed" if any(state.exit_code for state in states) else "Succeeded"
        return "Failed" if failed else "Pending"


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read()
