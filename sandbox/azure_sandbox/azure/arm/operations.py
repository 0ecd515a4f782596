"""Long-running operations: what the `Azure-AsyncOperation` address answers."""

import datetime as dt
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.azure.arm.paths import CONTAINER_INSTANCE
from azure_sandbox.azure.arm.views import event_json, timestamp
from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.guest.api import Event
from azure_sandbox.names import SUBSCRIPTION

KEPT = 1000
"""Operations that are remembered; a client that comes later gets a 404, as after the service's own retention."""


@dataclass
class Operation:
    """One operation.

    Attributes:
        resource_id: The resource that it is about.
        location: The region in its address.
        status: Pending, Creating, …, Succeeded, Failed or Canceled.
        error: Message of a failed one; its code is `Failed`.
    """

    resource_id: str
    location: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    status: str = "Pending"
    events: tuple[Event, ...] = ()
    error: str | None = None

    def path(self, api_version: str) -> str:
        """Return the path and query of its address."""
        place = f"/subscriptions/{SUBSCRIPTION}/providers/{CONTAINER_INSTANCE}/locations/{self.location}"
        return f"{place}/operations/{self.id}?api-version={api_version}"

    def body(self) -> dict[str, Any]:
        """Return what a poll answers."""
        content: dict[str, Any] = {
            "id": self.resource_id,
            "status": self.status,
            "startTime": timestamp(self.started),
            "properties": {"events": [event_json(event) for event in self.events]},
        }
        if self.error is not None:
            content["error"] = {"code": "Failed", "message": self.error}
        return content

    def fail(self, message: str) -> None:
        """End it without success."""
        self.status = "Failed"
        self.error = message


class Operations:
    """The operations of this process; they do not outlive it."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Operation] = OrderedDict()

    def begin(self, resource_id: str, location: str) -> Operation:
        """Register a new one."""
        operation = Operation(resource_id, location.replace(" ", "").lower())
        self._known[operation.id] = operation
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return operation

    def get(self, operation_id: str) -> Operation:
        """Return one.

        Raises:
            ServiceError: 404 OperationNotFound.
        """
        if operation_id not in self._known:
            raise ServiceError(404, "OperationNotFound", f"The operation '{operation_id}' is not known.")
        return self._known[operation_id]
