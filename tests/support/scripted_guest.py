"""A guest that does what its image's tag says, so that a test scripts a group through the body of its PUT.

`…:runs` keeps running, `…:ends` exits with 0, `…:denied` is refused by the policy, `…:missing` is not in the registry,
`…:slow` takes until it is cancelled.
"""

import asyncio
import base64
import datetime as dt
import json
from dataclasses import replace

from azure_sandbox.guest.api import (
    ContainerState,
    ContainerView,
    Denied,
    Event,
    GroupView,
    ImageInaccessible,
)


def denial(container):
    decision = base64.b64encode(
        json.dumps({"decision": "deny", "reason": {"errors": ["deviceHash not found"]}}).encode()
    ).decode()
    return (
        f"Error: Failed to start container {container}, Error response: to create containerd task: container creation "
        f"denied due to policy: policyDecision< {decision} >policyDecision"
    )


class ScriptedGuest:
    def __init__(self, group, directory, network, attester):
        self.group = group
        self.directory = directory
        self.network = network
        containers = group["properties"]["containers"]
        self.script = containers[0]["properties"]["image"].rpartition(":")[2]
        waiting = ContainerState("Waiting")
        self.group_view = GroupView("Pending", (), tuple(ContainerView(one["name"], waiting) for one in containers))
        self.calls = []

    async def check_images(self):
        self.calls.append("check_images")
        if self.script == "missing":
            raise ImageInaccessible("The image is not accessible. Please check the image and registry credential.")

    async def start(self):
        self.calls.append("start")
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.script == "slow":
            await asyncio.Event().wait()
        if self.script == "denied":
            now = dt.datetime.now(dt.UTC)
            self._each(events=(Event("Failed", "Warning", denial("app"), now, now),))
            raise Denied(denial("app"))
        self._run(0)

    async def restart(self):
        self.calls.append("restart")
        self._run(self.group_view.containers[0].restart_count + 1)

    async def stop(self):
        self.calls.append("stop")
        self._each(current_state=ContainerState("Terminated", exit_code=0, detail_status="Completed"))
        self.group_view = replace(self.group_view, state="Stopped")

    def observe(self):
        return self.group_view

    def logs(self, container, tail):
        if container not in [one.name for one in self.group_view.containers]:
            raise KeyError(container)
        lines = ["one", "two", "three"]
        return "\n".join(lines if tail is None else lines[-tail:])

    def _run(self, restarts):
        now = dt.datetime.now(dt.UTC)
        if self.script == "ends":
            ended = ContainerState("Terminated", now, now, 0, "Completed")
            self._each(current_state=ended, restart_count=restarts)
            self.group_view = replace(self.group_view, state="Succeeded")
        else:
            started = Event("Started", "Normal", "Started container", now, now)
            self._each(current_state=ContainerState("Running", now), restart_count=restarts, events=(started,))
            self.group_view = replace(self.group_view, state="Running")

    def _each(self, **changes):
        containers = tuple(replace(one, **changes) for one in self.group_view.containers)
        self.group_view = replace(self.group_view, containers=containers)
