"""One container group: its body, its place, its guest, and the file that lets it outlive the process."""

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from azure_sandbox.azure.arm.paths import group_id
from azure_sandbox.azure.arm.views import from_json, to_json
from azure_sandbox.guest.api import Event, GroupNetwork, GroupView, Guest
from azure_sandbox.state import write_private

Json = Mapping[str, Any]

TRANSITIONING = frozenset({"Pending", "Creating", "Updating", "Repairing", "Deleting"})
"""Provisioning states in which a group takes no change."""

ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
"""`instanceView.state` of a group whose containers run no more and are not started again by themselves."""


@dataclass
class ContainerGroup:
    """A container group.

    Attributes:
        name: Its name.
        body: The body of the last PUT, secrets included.
        network: Its lines and its loopback address.
        directory: Its folder.
        guest: Runs it.
        provisioning_state: As the service names them.
        platform_events: Events of the platform rather than of the guest.
        past: What was seen of a group that had ended before this process began; it hides the guest's own view.
        task: What is being done to it at the moment.
        forgotten: Whether its folder is being removed: nothing is written there any more.
    """

    name: str
    body: Json
    network: GroupNetwork
    directory: Path
    guest: Guest
    provisioning_state: str = "Pending"
    platform_events: tuple[Event, ...] = ()
    past: GroupView | None = None
    task: asyncio.Task[None] | None = None
    forgotten: bool = False
    _saved_state: str | None = None

    @property
    def id(self) -> str:
        """Its ARM id."""
        return group_id(self.name)

    @property
    def address(self) -> str:
        """Its loopback address."""
        return self.network.address

    @property
    def location(self) -> str:
        """The region of the request."""
        return str(self.body["location"])

    @property
    def transitioning(self) -> bool:
        """Whether something is being done to it."""
        return self.provisioning_state in TRANSITIONING

    def view(self) -> GroupView:
        """Return what it looks like now, with the platform's events; an end is written down when it is first seen."""
        view = self.past or self.guest.observe()
        if view.state != self._saved_state:
            self.save()
        return replace(view, events=(*self.platform_events, *view.events))

    def note(self, name: str, message: str) -> None:
        """Add a warning of the platform."""
        now = dt.datetime.now(dt.UTC)
        self.platform_events += (Event(name, "Warning", message, now, now),)

    def save(self) -> None:
        """Write the group down: its body holds secrets, so the file is closed to other users."""
        if self.forgotten:
            return
        view = self.past or self.guest.observe()
        self._saved_state = view.state
        content = {
            "body": self.body,
            "address": self.address,
            "provisioningState": self.provisioning_state,
            "view": to_json(view),
        }
        write_private(resource_file(self.directory), json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class SavedGroup:
    """A group as an earlier process left it."""

    name: str
    body: Json
    address: str
    provisioning_state: str
    view: GroupView


def resource_file(directory: Path) -> Path:
    """Return the file of a group's folder that holds the group."""
    return directory / "resource.json"


def load(directory: Path) -> SavedGroup:
    """Read a group from its folder."""
    content = json.loads(resource_file(directory).read_text())
    return SavedGroup(
        directory.name,
        content["body"],
        content["address"],
        content["provisioningState"],
        from_json(content["view"]),
    )
