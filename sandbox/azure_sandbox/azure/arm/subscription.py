"""Answers about the subscription and its regions that depend on no single container group."""

from collections.abc import Iterable, Mapping
from typing import Any

from azure_sandbox.azure.arm.validation import LOCATIONS, MAX_CPU, MAX_MEMORY_GB
from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.azure.principals import Principals, identity_resource_id
from azure_sandbox.names import ATTESTATION, LOCATION, RESOURCE_GROUP, SUBSCRIPTION, TENANT

QUOTA_GROUPS = 100
QUOTA_CORES = 100
"""Default quotas of a new subscription; they are shown here and not enforced."""


def usages(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return `locations/…/usages` for the groups with these bodies."""
    groups = list(bodies)
    cores = sum(
        container["properties"]["resources"]["requests"]["cpu"]
        for body in groups
        for container in body["properties"]["containers"]
    )
    counts = (("ContainerGroups", QUOTA_GROUPS, len(groups)), ("ConfidentialCores", QUOTA_CORES, cores))
    return {
        "value": [
            {
                "unit": "Count",
                "currentValue": current,
                "limit": limit,
                "name": {"value": name, "localizedValue": name},
            }
            for name, limit, current in counts
        ]
    }


def capabilities(location: str) -> dict[str, Any]:
    """Return `locations/…/capabilities`."""
    maxima = {"maxMemoryInGB": MAX_MEMORY_GB, "maxCpu": MAX_CPU, "maxGpuCount": 0}
    capability = {
        "resourceType": "containerGroups",
        "osType": "Linux",
        "location": location,
        "ipAddressType": "Public",
        "gpu": "None",
        "capabilities": maxima,
    }
    return {"value": [capability]}


def attestation_provider() -> dict[str, Any]:
    """Return the shared attestation provider of any region."""
    properties = {"status": "Ready", "attestUri": f"https://{ATTESTATION}", "trustModel": "AAD"}
    return {
        "id": "/providers/Microsoft.Attestation/attestationProviders/shared",
        "name": "shared",
        "type": "Microsoft.Attestation/attestationProviders",
        "location": LOCATION,
        "properties": properties,
    }


def subscription() -> dict[str, Any]:
    """Return the one subscription."""
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": "Sandbox",
        "state": "Enabled",
        "subscriptionPolicies": {"spendingLimit": "Off"},
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def tenant() -> dict[str, Any]:
    """Return the one tenant."""
    return {"id": f"/tenants/{TENANT}", "tenantId": TENANT, "displayName": "Sandbox", "tenantCategory": "Home"}


def locations() -> list[dict[str, Any]]:
    """Return the regions that container groups can be in."""
    return [
        {
            "id": f"/subscriptions/{SUBSCRIPTION}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": name,
            "regionalDisplayName": name,
            "metadata": {"regionType": "Physical", "regionCategory": "Other"},
        }
        for name in LOCATIONS
    ]


def provider(namespace: str, types: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return a registered resource provider.

    Args:
        namespace: Its name.
        types: Versions by resource type.
    """
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {"resourceType": name, "locations": list(LOCATIONS), "apiVersions": sorted(versions, reverse=True)}
            for name, versions in types.items()
        ],
    }


def resource_group() -> dict[str, Any]:
    """Return the one resource group."""
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}",
        "name": RESOURCE_GROUP,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    }


def identity(principals: Principals, name: str, *, create: bool) -> dict[str, Any]:
    """Return a user-assigned identity.

    Raises:
        ServiceError: 404 when there is none and none is to be made.
    """
    resource_id = identity_resource_id(name)
    principal = principals.add_identity(resource_id) if create else principals.by_resource_id(resource_id)
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    if principal is None:
        raise ServiceError(404, "ResourceNotFound", f"The Resource '{kind}/{name}' was not found.")
    properties = {"tenantId": TENANT, "principalId": principal.object_id, "clientId": principal.client_id}
    return {"id": resource_id, "name": name, "type": kind, "location": LOCATION, "properties": properties}
