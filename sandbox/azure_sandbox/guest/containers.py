"""A container as people see it: state, restarts and events, while its process comes and goes."""

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime

from azure_sandbox.guest.api import ContainerState, ContainerView, Event, EventType
from azure_sandbox.guest.machine import Machine
from azure_sandbox.guest.plan import RestartPolicy
from azure_sandbox.guest.process import Process, Started, start
from azure_sandbox.guest.root_file_system import Recipe, RootFileSystem
from confidential_summarizer.errors import SummarizerError

STOP_SECONDS = 10.0
"""Between the request to end and KILL; a container engine's usual patience."""

BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Waits before restarts; the last one repeats."""


@dataclass
class Admitted:
    """A container that the policy let in: its process, and how its root file system is made for each start."""

    process: Process
    recipe: Recipe
    latest: RootFileSystem
    fresh: bool = True

    async def root(self, machine: Machine) -> RootFileSystem:
        """Return a root file system that no process has written to.

        Raises:
            TransientError: The kernel refused it.
        """
        if not self.fresh:
            self.latest = await self.recipe.join(machine, self.latest)
        self.fresh = False
        return self.latest


@dataclass
class Container:
    """Runs a process, again and again if the restart policy says so, and remembers what people may see of it."""

    name: str
    restart_policy: RestartPolicy
    state: ContainerState = field(default_factory=lambda: ContainerState("Waiting"))
    previous: ContainerState | None = None
    restarts: int = 0
    events: list[Event] = field(default_factory=list)
    process: Process | None = None
    _task: asyncio.Task[None] | None = None
    _started: Started | None = None

    def note(self, name: str, message: str, kind: EventType = "Normal") -> None:
        """Add an event; the same one again counts up."""
        now = datetime.now(UTC)
        for index, event in enumerate(self.events):
            if (event.name, event.message) == (name, message):
                self.events[index] = Event(name, kind, message, event.first_timestamp, now, event.count + 1)
                return
        self.events.append(Event(name, kind, message, now, now))

    def expect(self) -> None:
        """Show that the container is to be started."""
        self.state = ContainerState("Waiting")

    def refuse(self, message: str) -> None:
        """Show that the container was not let in."""
        self.state = ContainerState("Waiting", detail_status="CrashLoopBackOff")
        self.note("Failed", f"Error: Failed to start container {self.name}, Error response: {message}", "Warning")

    def view(self) -> ContainerView:
        """Return what `instanceView` shows."""
        return ContainerView(self.name, self.state, self.previous, self.restarts, tuple(self.events))

    async def start(self, admitted: Admitted, machine: Machine) -> None:
        """Start the process and keep it as the restart policy says."""
        await self._launch(admitted, machine)
        self._task = asyncio.create_task(self._keep(admitted, machine))

    async def finish(self, admitted: Admitted, machine: Machine) -> int:
        """Run an init container to its end, again as long as the restart policy says, and return its exit code."""
        await self._launch(admitted, machine)
        while (code := await self._wait()) and self.restart_policy != "Never":
            await self._again(admitted, machine)
        return code

    async def stop(self) -> None:
        """End it: the signal that it knows, then KILL."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        started = self._started
        if started is not None and started.bubblewrap.returncode is None:
            self.note("Killing", f"Killing container {self.name}")
            await self._end(started)
            self._terminated(started.bubblewrap.returncode or 0)
        self._started = None

    async def _end(self, started: Started) -> None:
        number = self.process.stop_signal if self.process else None
        if started.first is not None and number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(started.first, number)
            try:
                await asyncio.wait_for(started.bubblewrap.wait(), STOP_SECONDS)
            except TimeoutError:
                pass
            else:
                return
        with contextlib.suppress(ProcessLookupError):
            started.bubblewrap.kill()  # its children die with it
        await started.bubblewrap.wait()

    async def _keep(self, admitted: Admitted, machine: Machine) -> None:
        while True:
            code = await self._wait()
            if self.restart_policy == "Never" or (self.restart_policy == "OnFailure" and code == 0):
                return
            await self._again(admitted, machine)

    async def _again(self, admitted: Admitted, machine: Machine) -> None:
        self.previous = self.state
        self.state = ContainerState("Waiting", detail_status="CrashLoopBackOff")
        while True:
            self.note("BackOff", f"Back-off restarting container {self.name}", "Warning")
            await asyncio.sleep(BACKOFF_SECONDS[min(self.restarts, len(BACKOFF_SECONDS) - 1)])
            self.restarts += 1
            try:
                await self._launch(admitted, machine)
            except (SummarizerError, OSError) as error:
                self.note("Failed", f"Error: Failed to start container {self.name}: {error}", "Warning")
            else:
                return

    async def _launch(self, admitted: Admitted, machine: Machine) -> None:
        self.process = admitted.process
        root = await admitted.root(machine)
        self.note("Created", f"Created container {self.name}")
        self._started = await start(admitted.process, root, machine)
        self.state = ContainerState("Running", start_time=datetime.now(UTC))
        self.note("Started", f"Started container {self.name}")

    async def _wait(self) -> int:
        assert self._started is not None  # noqa: S101 - launched before
        self._terminated(await self._started.bubblewrap.wait())
        return self.state.exit_code or 0

    def _terminated(self, code: int) -> None:
        # A process that a signal ended shows as 128 and the signal's number, as a shell says it.
        code = code if code >= 0 else 128 - code
        self.state = ContainerState(
            "Terminated",
            start_time=self.state.start_time,
            finish_time=datetime.now(UTC),
            exit_code=code,
            detail_status="Completed" if code == 0 else "Error",
        )
