"""The storage account, the registry, and the role assignments there, as Resource Manager shows them."""

import re
import uuid
from collections.abc import Sequence
from typing import Any

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.principals import NAMESPACE
from azure_sandbox.azure.roles import DEFINITIONS, Roles
from azure_sandbox.names import BLOB_ACCOUNT, BLOB_HOST, LOCATION, REGISTRY, RESOURCE_GROUP, SUBSCRIPTION

PROVIDERS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers"
ACCOUNT = f"{PROVIDERS}/Microsoft.Storage/storageAccounts/{BLOB_ACCOUNT}"
REGISTRY_ID = f"{PROVIDERS}/Microsoft.ContainerRegistry/registries/{REGISTRY.partition('.')[0]}"

FILTER = re.compile(r"(atScope\(\) and )?assignedTo\('([0-9a-f-]{36})'\)")


PLACES: tuple[dict[str, Any], ...] = (
    {
        "id": ACCOUNT,
        "name": BLOB_ACCOUNT,
        "type": "Microsoft.Storage/storageAccounts",
        "location": LOCATION,
        "properties": {"primaryEndpoints": {"blob": f"https://{BLOB_HOST}/"}, "provisioningState": "Succeeded"},
    },
    {
        "id": REGISTRY_ID,
        "name": REGISTRY.partition(".")[0],
        "type": "Microsoft.ContainerRegistry/registries",
        "location": LOCATION,
        "sku": {"name": "Premium", "tier": "Premium"},
        "properties": {"loginServer": REGISTRY, "adminUserEnabled": False, "provisioningState": "Succeeded"},
    },
)
"""The one storage account and the one registry."""


def resources(wanted: str) -> list[dict[str, Any]]:
    """Return those of a type; the filter of the request names it."""
    return [one for one in PLACES if f"'{one['type']}'".lower() in wanted.lower()]


def shown(provider: str, kind: str, name: Sequence[str], *, in_group: bool) -> dict[str, Any]:
    """Return the list of a type, or the resource of that name.

    Raises:
        ServiceError: There is no such resource, or no such type.
    """
    found = [one for one in PLACES if str(one["type"]).lower() == f"{provider}/{kind}"]
    if not name and found:
        return {"value": found}
    wanted = [part.lower() for part in name]
    named = next((one for one in found if in_group and [one["name"]] == wanted), None)
    if named is None:
        text = f"The Resource '{provider}/{kind}/{'/'.join(name)}' was not found."
        raise ServiceError(404, "ResourceNotFound", text)
    return named


def assignments(roles: Roles, scope: str, wanted: str) -> list[dict[str, Any]]:
    """Return the assignments at a place and above it.

    Args:
        roles: All assignments.
        scope: ARM id of the place.
        wanted: The filter of the request.

    Raises:
        ServiceError: It is another place, or a filter that the sandbox does not have.
    """
    principal = FILTER.fullmatch(wanted)
    if principal is None:
        text = "The sandbox lists role assignments with the filter atScope() and assignedTo('ID') only."
        raise ServiceError(400, "UnsupportedQuery", text)
    resource = _resource(scope)
    return [
        {
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid5(NAMESPACE, str(one))}",
            "name": str(uuid.uuid5(NAMESPACE, str(one))),
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "principalId": one.object_id,
                "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{DEFINITIONS[one.role]}",
                "scope": scope,
            },
        }
        for one in sorted(roles.assignments, key=str)
        if one.object_id == principal[2] and one.role in DEFINITIONS and one.covers(resource)
    ]


def _resource(scope: str) -> str:
    """Name an ARM id as scopes of the sandbox's roles do.

    Raises:
        ServiceError: The sandbox has no such place.
    """
    if scope.lower() == REGISTRY_ID.lower():
        return REGISTRY
    if scope.lower() == ACCOUNT.lower():
        return BLOB_HOST
    container = re.fullmatch(re.escape(ACCOUNT) + "/blobServices/default/containers/([a-z0-9-]+)", scope, re.IGNORECASE)
    if container is None:
        raise ServiceError(404, "ResourceNotFound", f"The sandbox has no roles at '{scope}'.")
    return f"{BLOB_HOST}/{container[1]}"
