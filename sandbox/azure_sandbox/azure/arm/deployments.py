"""Deployments of templates (Microsoft.Resources/deployments) that make container groups."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.azure.arm.operations import Operation
from azure_sandbox.azure.arm.paths import group_id
from azure_sandbox.azure.arm.rendering import TYPE
from azure_sandbox.azure.arm.template import Template, evaluate
from azure_sandbox.azure.arm.validation import validate
from azure_sandbox.azure.arm.views import timestamp
from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.names import LOCATION, RESOURCE_GROUP, SUBSCRIPTION

Json = Mapping[str, Any]
Put = Callable[[str, Json], Awaitable[Operation]]

ENDED = ("Succeeded", "Failed", "Canceled")

POLL_SECONDS = 0.1

FAILED = (
    "At least one resource deployment operation failed. Please list deployment operations for details. Please see "
    "https://aka.ms/arm-deployment-operations for usage details."
)
RESOURCE_FAILED = (
    "The resource write operation failed to complete successfully, because it reached terminal provisioning state "
    "'Failed'."
)


@dataclass
class Deployment:
    """One deployment, as it is shown.

    Attributes:
        name: Its name.
        template: What it deploys.
        state: `provisioningState`.
        error: What went wrong.
        task: Puts the resources, one after the other.
    """

    name: str
    template: Template
    state: str = "Accepted"
    error: dict[str, Any] | None = None
    began: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """Its ARM id."""
        place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
        return f"{place}/providers/Microsoft.Resources/deployments/{self.name}"

    def body(self) -> dict[str, Any]:
        """Return it as the service shows it."""
        properties: dict[str, Any] = {
            "mode": "Incremental",
            "provisioningState": self.state,
            "timestamp": timestamp(self.began),
            "duration": "PT0S",
            "correlationId": self.name,
            "parameters": self.template.parameters,
            "outputs": self.template.outputs,
            "providers": [],
            "dependencies": [],
            "outputResources": [{"id": group_id(one["name"])} for one in self.template.resources],
        }
        if self.error is not None:
            properties["error"] = self.error
        return {
            "id": self.id,
            "name": self.name,
            "type": "Microsoft.Resources/deployments",
            "properties": properties,
        }

    def status(self) -> dict[str, Any]:
        """Return what a poll answers."""
        return {"status": self.state} | ({} if self.error is None else {"error": self.error})


class Deployments:
    """The deployments of this process; the resources outlive it, they do not.

    Args:
        put: Begins to make a container group.
    """

    def __init__(self, put: Put) -> None:
        self._put = put
        self._known: dict[str, Deployment] = {}

    def all(self) -> list[dict[str, Any]]:
        """Return all of them."""
        return [one.body() for one in self._known.values()]

    def get(self, name: str) -> Deployment:
        """Return one.

        Raises:
            ServiceError: 404 DeploymentNotFound.
        """
        if name.lower() not in self._known:
            raise ServiceError(404, "DeploymentNotFound", f"Deployment '{name}' could not be found.")
        return self._known[name.lower()]

    def check(self, name: str, body: Json) -> Deployment:
        """Evaluate a deployment without doing anything.

        Raises:
            ServiceError: 400; the template or a resource of it is not acceptable.
        """
        properties = body.get("properties")
        if not isinstance(properties, Mapping):
            raise ServiceError(400, "InvalidRequestContent", "The request content has no 'properties'.")
        if str(properties.get("mode", "Incremental")).lower() != "incremental":
            text = "The sandbox deploys in mode Incremental only: Complete would delete everything else."
            raise ServiceError(400, "InvalidDeploymentMode", text)
        template = evaluate(properties, LOCATION)
        for resource in template.resources:
            if str(resource["type"]).lower() != TYPE.lower():
                text = f"The sandbox deploys resources of type {TYPE} only, not '{resource['type']}'."
                raise ServiceError(400, "InvalidTemplateDeployment", text)
            validate(resource["name"], resource)
        return Deployment(name, template)

    def begin(self, name: str, body: Json) -> Deployment:
        """Begin to deploy.

        Raises:
            ServiceError: 400 as `check`; 409 while one of the same name is active.
        """
        before = self._known.get(name.lower())
        if before is not None and before.state not in ENDED:
            text = f"Unable to edit or replace deployment '{name}': previous deployment is still active."
            raise ServiceError(409, "DeploymentActive", text)
        deployment = self.check(name, body)
        self._known[name.lower()] = deployment
        deployment.task = asyncio.create_task(self._run(deployment))
        return deployment

    def forget(self, name: str) -> bool:
        """Remove one from the history; its resources stay. False when there is none."""
        return self._known.pop(name.lower(), None) is not None

    async def _run(self, deployment: Deployment) -> None:
        deployment.state = "Running"
        for resource in deployment.template.resources:
            if detail := await self._deploy(resource):
                deployment.error = {"code": "DeploymentFailed", "message": FAILED, "details": [detail]}
                deployment.state = "Failed"
                return
        deployment.state = "Succeeded"

    async def _deploy(self, resource: Json) -> dict[str, Any] | None:
        """Put one resource and wait for it; the error's detail if it fails."""
        own = ("type", "apiVersion", "name", "dependsOn", "condition", "comments")
        body = {name: value for name, value in resource.items() if name not in own}
        try:
            operation = await self._put(resource["name"], body)
        except ServiceError as error:
            detail: dict[str, Any] = error.body["error"]
            return detail
        while operation.status not in ENDED:  # noqa: ASYNC110 - the operation is only ever looked at
            await asyncio.sleep(POLL_SECONDS)
        if operation.status == "Succeeded":
            return None
        cause = operation.body().get("error", {"code": operation.status, "message": operation.status})
        return {"code": "ResourceDeploymentFailure", "message": RESOURCE_FAILED, "details": [cause]}
