"""`management.azure.com`: any bearer token is taken; api-version, throttling and error bodies are the service's."""

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from azure_sandbox.azure.arm import subscription
from azure_sandbox.azure.arm.authorization import assignments, resources, shown
from azure_sandbox.azure.arm.deployments import ENDED, Deployment, Deployments
from azure_sandbox.azure.arm.group import ContainerGroup
from azure_sandbox.azure.arm.groups import ContainerGroups
from azure_sandbox.azure.arm.limits import Limits
from azure_sandbox.azure.arm.operations import Operation
from azure_sandbox.azure.arm.paths import (
    ATTESTATION,
    CONTAINER_INSTANCE,
    MANAGED_IDENTITY,
    RESOURCES,
    ResourcePath,
    parse_path,
)
from azure_sandbox.azure.arm.rendering import add_views, render
from azure_sandbox.azure.arm.template import read_jsonc
from azure_sandbox.azure.arm.validation import LOCATIONS
from azure_sandbox.azure.errors import ServiceError, json_object
from azure_sandbox.azure.roles import Roles
from azure_sandbox.azure.tokens import Caller, TokenRejected, bearer
from azure_sandbox.names import LOGIN, TENANT

CONTAINER_VERSIONS = frozenset(
    {
        "2021-10-01",
        "2022-09-01",
        "2022-10-01-preview",
        "2023-02-01-preview",
        "2023-05-01",
        "2024-05-01-preview",
        "2024-11-01-preview",
        "2025-09-01",
        "2026-06-01-preview",
        "2026-07-01",
    }
)
ANY_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")

PROVIDERS: Mapping[str, tuple[str, Mapping[str, Iterable[str]]]] = {
    CONTAINER_INSTANCE: ("Microsoft.ContainerInstance", {"containerGroups": CONTAINER_VERSIONS}),
    MANAGED_IDENTITY: ("Microsoft.ManagedIdentity", {"userAssignedIdentities": ("2023-01-31",)}),
    RESOURCES: ("Microsoft.Resources", {"deployments": ("2024-07-01",)}),
}
"""What `az provider show` finds: name, and versions by type."""

AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
"""What tokens for Resource Manager are made out to; the Azure CLI takes the second one."""

SHOWN = ("microsoft.storage", "microsoft.containerregistry")
"""Providers whose one resource is listed, and no more."""

ROLE_ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"

POLL_MILLISECONDS = 250
"""How long a client waits between two polls of an operation; the service says 10 to 20 s."""


class ResourceManager:
    """The host's routes.

    Args:
        groups: The container groups.
        limits: Throttling.
        roles: The role assignments that it shows.
    """

    def __init__(self, groups: ContainerGroups, limits: Limits, roles: Roles) -> None:
        self.groups = groups
        self.roles = roles
        self.limits = limits
        self.deployments = Deployments(self._put_for_deployment)

    def application(self, control: web.Application) -> web.Application:
        """Return the host's application, with the sandbox's own controls below /sandbox."""
        application = web.Application()
        application.add_subapp("/sandbox", control)
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        """Answer any request for a resource."""
        identifiers = {
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", str(uuid.uuid4())),
        }
        try:
            caller = self._authenticated(request)
            identifiers |= self.limits.admit(request.method)
            _check_version_form(request)
            if (listed := _directory(request)) is not None:
                return web.json_response({"value": listed}, headers=identifiers)
            if (listed := self._role_assignments(caller, request)) is not None:
                return web.json_response({"value": listed}, headers=identifiers)
            path = parse_path(request.path)
            _check_version(path, request)
            self._check_role(caller, request)
            response = await self._dispatch(request, path)
        except ServiceError as error:
            error.headers = {**identifiers, **error.headers}
            raise
        response.headers.update(identifiers)
        return response

    def _authenticated(self, request: web.Request) -> Caller:
        """Return who calls; the token has to be one for Resource Manager."""
        token = bearer(request.headers.get("Authorization"))
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="https://{LOGIN}/{TENANT}"'}
        if token is None:
            text = "Authentication failed. The 'Authorization' header is missing or is no bearer token."
            raise ServiceError(401, "AuthenticationFailed", text, headers=challenge)
        try:
            return self.groups.tokens.check(token, AUDIENCES)
        except TokenRejected:
            text = (
                "The access token has been obtained for wrong audience or resource, or is no token of this tenant. It "
                f"should exactly match one of the allowed audiences: {', '.join(AUDIENCES)}."
            )
            raise ServiceError(401, "InvalidAuthenticationTokenAudience", text, headers=challenge) from None

    def _check_role(self, caller: Caller, request: web.Request) -> None:
        """Let applications manage the resource group; identities of groups have no role in it."""
        principal = self.groups.principals.by_client_id(caller.client_id)
        if principal is not None and principal.resource_id is None:
            return
        verb = {"GET": "read", "DELETE": "delete", "POST": "action"}.get(request.method, "write")
        text = (
            f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to "
            f"perform action 'Microsoft.ContainerInstance/containerGroups/{verb}' over scope '{request.path}' or the "
            "scope is invalid. If access was recently granted, please refresh your credentials."
        )
        raise ServiceError(403, "AuthorizationFailed", text)

    def _role_assignments(self, caller: Caller, request: web.Request) -> list[dict[str, Any]] | None:
        """Return the role assignments at a place, or None for any other path."""
        scope, _, rest = request.path.rpartition(ROLE_ASSIGNMENTS)
        if request.method != "GET" or not scope or rest:
            return None
        self._check_role(caller, request)
        return assignments(self.roles, scope, request.query.get("$filter", ""))

    async def _dispatch(self, request: web.Request, path: ResourcePath) -> web.Response:
        match request.method, path.in_group, path.provider, path.segments:
            case _, True, "microsoft.containerinstance", ("containergroups", name, *rest):
                return await self._group(request, name, tuple(rest))
            case "GET", _, "microsoft.containerinstance", ("containergroups",):
                return web.json_response({"value": [self._shown(group) for group in self.groups]})
            case "GET", False, "microsoft.containerinstance", ("locations", location, what, *rest):
                return self._location(location, what, tuple(rest))
            case "GET" | "PUT", True, "microsoft.managedidentity", ("userassignedidentities", name):
                create = request.method == "PUT"
                return web.json_response(subscription.identity(self.groups.principals, name, create=create))
            case "GET", False, None, ("resources",):
                return web.json_response({"value": resources(request.query.get("$filter", ""))})
            case "GET", in_group, "microsoft.storage" | "microsoft.containerregistry", (kind, *name):
                return web.json_response(shown(path.provider or "", kind, name, in_group=in_group))
            case "GET", False, "microsoft.attestation", ("locations", _, "defaultprovider"):
                return web.json_response(subscription.attestation_provider())
            case "GET", True, None, ():
                return web.json_response(subscription.resource_group())
            case "GET", False, None, ():
                return web.json_response(subscription.subscription())
            case "GET", False, None, ("resourcegroups",):
                return web.json_response({"value": [subscription.resource_group()]})
            case "GET", False, None, ("locations",):
                return web.json_response({"value": subscription.locations()})
            case "GET", False, str(namespace), () if namespace in PROVIDERS:
                return web.json_response(subscription.provider(*PROVIDERS[namespace]))
            case _, True, "microsoft.resources", ("deployments", *rest):
                return await self._deployment(request, tuple(rest))
        text = f"The sandbox does not know {request.method} {request.path}."
        raise ServiceError(404, "InvalidResourceType", text)

    async def _group(self, request: web.Request, name: str, rest: tuple[str, ...]) -> web.Response:
        match request.method, rest:
            case "GET", ():
                return web.json_response(self._shown(self.groups.get(name), with_views=True))
            case "PUT", ():
                return await self._put(request, name)
            case "PATCH", ():
                return web.json_response(self._shown(self.groups.patch(name, await json_object(request))))
            case "DELETE", ():
                return self._delete(request, name)
            case "POST", ("stop",):
                await self.groups.stop(name)
                return web.Response(status=204)
            case "POST", ("start",):
                return _accepted(request, 202, self.groups.start(name))
            case "POST", ("restart",):
                return _accepted(request, 204, self.groups.restart(name))
            case "GET", ("containers", container, "logs"):
                return self._logs(request, name, container)
            case "POST", ("containers", container, ("exec" | "attach") as what):
                text = f"The sandbox has no {what} into container '{container}': no policy of the product allows it."
                raise ServiceError(501, "NotImplemented", text)
            case "GET", ("outboundnetworkdependenciesendpoints",):
                return web.json_response([])
        text = f"The sandbox does not know {request.method} {request.path}."
        raise ServiceError(404, "InvalidResourceType", text)

    async def _deployment(self, request: web.Request, path: tuple[str, ...]) -> web.Response:
        match request.method, path:
            case "GET", ():
                return web.json_response({"value": self.deployments.all()})
            case "PUT", (name,):
                deployment = self.deployments.begin(name, read_jsonc(await request.text()))
                return _deploying(request, deployment)
            case "POST", (name, "validate"):
                deployment = self.deployments.check(name, read_jsonc(await request.text()))
                deployment.state = "Succeeded"
                return web.json_response(deployment.body())
            case "GET", (name,):
                return web.json_response(self.deployments.get(name).body())
            case "GET", (name, "operationstatuses", _):
                deployment = self.deployments.get(name)
                headers = {} if deployment.state in ENDED else {"retry-after-ms": str(POLL_MILLISECONDS)}
                return web.json_response(deployment.status(), headers=headers)
            case "DELETE", (name,):
                return web.Response(status=204 if not self.deployments.forget(name) else 202)
        text = f"The sandbox does not know {request.method} {request.path}."
        raise ServiceError(404, "InvalidResourceType", text)

    async def _put_for_deployment(self, name: str, body: Mapping[str, Any]) -> Operation:
        if self.groups.find(name) is None:
            self.limits.admit_change("PUT")
        _, _, operation = await self.groups.put(name, body)
        return operation

    async def _put(self, request: web.Request, name: str) -> web.Response:
        body = await json_object(request)
        if self.groups.find(name) is None:
            self.limits.admit_change("PUT")
        group, created, operation = await self.groups.put(name, body)
        response = _accepted(request, 201 if created else 200, operation)
        shown = self._shown(group)
        shown["properties"]["instanceView"] = {"state": "Pending", "events": []}
        response.body = web.json_response(shown).body
        response.content_type = "application/json"
        return response

    def _delete(self, request: web.Request, name: str) -> web.Response:
        if self.groups.find(name) is None:
            return web.Response(status=204)
        self.limits.admit_change("DELETE")
        operation = self.groups.delete(name)
        return _accepted(request, 202, operation) if operation else web.Response(status=204)

    def _logs(self, request: web.Request, name: str, container: str) -> web.Response:
        tail = request.query.get("tail")
        try:
            content = self.groups.get(name).guest.logs(container, int(tail) if tail else None)
        except KeyError as error:
            text = f"The container '{container}' was not found in container group '{name}'."
            raise ServiceError(404, "ContainerNotFound", text) from error
        except ValueError as error:
            raise ServiceError(400, "InvalidParameter", "tail has to be a number of lines.") from error
        return web.json_response({"content": content})

    def _location(self, location: str, what: str, rest: tuple[str, ...]) -> web.Response:
        if location.replace(" ", "").lower() not in LOCATIONS:
            raise ServiceError(400, "LocationNotAvailableForResourceType", f"'{location}' is not available.")
        match what.lower(), rest:
            case "operations", (operation_id,):
                operation = self.groups.provisioner.operations.get(operation_id)
                return web.json_response(operation.body(), headers=_poll_header(operation))
            case "usages", ():
                return web.json_response(subscription.usages(group.body for group in self.groups))
            case "capabilities", ():
                return web.json_response(subscription.capabilities(location))
            case "cachedimages", ():
                return web.json_response({"value": []})
        raise ServiceError(404, "InvalidResourceType", f"The sandbox does not know locations/{location}/{what}.")

    def _shown(self, group: ContainerGroup, *, with_views: bool = False) -> dict[str, Any]:
        shown = render(
            group.name, group.id, group.body, group.provisioning_state, group.address, self.groups.principals
        )
        return add_views(shown, group.view()) if with_views else shown


def _directory(request: web.Request) -> list[dict[str, Any]] | None:
    """Return what there is above the subscriptions, or None for a path within one."""
    match request.method, request.path.rstrip("/").lower():
        case "GET", "/subscriptions":
            return [subscription.subscription()]
        case "GET", "/tenants":
            return [subscription.tenant()]
    return None


def _deploying(request: web.Request, deployment: Deployment) -> web.Response:
    version = request.query["api-version"]
    address = f"{request.scheme}://{request.host}{deployment.id}/operationStatuses/1?api-version={version}"
    headers = {"Azure-AsyncOperation": address, "retry-after-ms": str(POLL_MILLISECONDS)}
    return web.json_response(deployment.body(), status=201, headers=headers)


def _check_version_form(request: web.Request) -> None:
    version = request.query.get("api-version", "").lower()
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise ServiceError(400, "MissingApiVersionParameter", text)
    if not ANY_VERSION.fullmatch(version):
        raise ServiceError(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")


def _check_version(path: ResourcePath, request: web.Request) -> None:
    version = request.query["api-version"].lower()
    if path.provider == CONTAINER_INSTANCE and version not in CONTAINER_VERSIONS:
        text = (
            "No registered resource provider found for location and API version "
            f"'{version}' for type 'containerGroups'. The supported api-versions are "
            f"'{', '.join(sorted(CONTAINER_VERSIONS))}'."
        )
        raise ServiceError(400, "NoRegisteredProviderFound", text)
    if path.provider not in (None, CONTAINER_INSTANCE, MANAGED_IDENTITY, ATTESTATION, RESOURCES, *SHOWN):
        text = f"The resource namespace '{path.provider}' is invalid: the sandbox does not have it."
        raise ServiceError(404, "InvalidResourceNamespace", text)


def _accepted(request: web.Request, status: int, operation: Operation) -> web.Response:
    """Return an answer with the operation's address, which carries the caller's own scheme and host."""
    address = f"{request.scheme}://{request.host}{operation.path(request.query['api-version'])}"
    return web.Response(status=status, headers={"Azure-AsyncOperation": address, **_poll_header(operation)})


def _poll_header(operation: Operation) -> dict[str, str]:
    ended = operation.status in ("Succeeded", "Failed", "Canceled")
    return {} if ended else {"retry-after-ms": str(POLL_MILLISECONDS)}
