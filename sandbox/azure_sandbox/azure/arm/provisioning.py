"""Doing something to a group while clients poll: the steps, their failures, and the faults that they meet."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from azure_sandbox.azure.arm.group import ContainerGroup
from azure_sandbox.azure.arm.operations import Operation, Operations
from azure_sandbox.faults import FAILURES, SLOW_OPERATION, Fault, Faults
from confidential_summarizer.errors import SummarizerError

Step = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


class Provisioner:
    """Runs one step of one group at a time in the background.

    Args:
        operations: Where clients find how it goes.
        faults: What goes wrong on purpose.
    """

    def __init__(self, operations: Operations, faults: Faults) -> None:
        self.operations = operations
        self.faults = faults

    def begin(self, group: ContainerGroup, state: str, step: Step, *, method: str = "") -> Operation:
        """Begin a step and return its operation.

        Args:
            group: The group; what was still being done to it is given up.
            state: Its provisioning state meanwhile: Creating (after Pending), Updating or Repairing.
            step: What is done.
            method: The HTTP method that asked for it, for the patterns of faults.
        """
        operation = self.operations.begin(group.id, group.location)
        fault = self.faults.take("resource-manager", (*FAILURES, SLOW_OPERATION), method, group.id)
        if group.task is not None:
            group.task.cancel()
        group.past = None
        group.provisioning_state = operation.status = "Pending" if state == "Creating" else state
        group.save()
        group.task = asyncio.create_task(self._run(group, operation, state, step, fault))
        return operation

    async def _run(
        self, group: ContainerGroup, operation: Operation, state: str, step: Step, fault: Fault | None
    ) -> None:
        group.provisioning_state = operation.status = state
        try:
            if fault is not None:
                await self._suffer(group, operation, fault)
            await step()
        except SummarizerError as error:
            self._fail(group, operation, str(error))
        except Exception:
            log.exception("the guest of %s failed", group.name)
            self._fail(group, operation, "An internal error occurred in the guest; the sandbox's log has it.")
        else:
            group.provisioning_state = "Succeeded"
            if operation.error is None:
                operation.status = "Succeeded"
            group.save()

    async def _suffer(self, group: ContainerGroup, operation: Operation, fault: Fault) -> None:
        """Fail by a fault, or be slow; return only if the group recovers from it."""
        if fault.kind == SLOW_OPERATION:
            await asyncio.sleep(fault.delay)
            return
        event, text = FAILURES[fault.kind]
        container = group.body["properties"]["containers"][0]["properties"]
        request = container["resources"]["requests"]
        message = text.format(
            location=group.location,
            group=group.name,
            image=container["image"],
            cpu=request["cpu"],
            memory=request["memoryInGB"],
        )
        group.note(event, message)
        self._fail(group, operation, message)
        await (asyncio.sleep(fault.recover_after) if fault.recover_after is not None else asyncio.Event().wait())

    def _fail(self, group: ContainerGroup, operation: Operation, message: str) -> None:
        group.provisioning_state = "Failed"
        view = group.view()
        of_containers = (event for one in (*view.init_containers, *view.containers) for event in one.events)
        operation.events = tuple(event for event in (*view.events, *of_containers) if event.type == "Warning")
        operation.fail(message)
        group.save()


async def given_up(task: asyncio.Task[None] | None) -> None:
    """Cancel what is being done and wait until it has ended."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
