"""Resource ids: what a Resource Manager path names, whatever its case."""

from dataclasses import dataclass

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.names import RESOURCE_GROUP, SUBSCRIPTION

CONTAINER_INSTANCE = "microsoft.containerinstance"
MANAGED_IDENTITY = "microsoft.managedidentity"
ATTESTATION = "microsoft.attestation"
RESOURCES = "microsoft.resources"


@dataclass(frozen=True)
class ResourcePath:
    """A parsed path.

    Attributes:
        in_group: Whether it names the sandbox's resource group; else the subscription.
        provider: Lower-case name of the resource provider, or None.
        segments: What follows the provider: types in lower case and names as given, alternating. Without a provider:
            the list of the subscription that is asked for.
    """

    in_group: bool
    provider: str | None
    segments: tuple[str, ...]


def parse_path(path: str) -> ResourcePath:
    """Read `/subscriptions/…[/resourceGroups/…][/providers/…]`.

    Raises:
        ServiceError: 404 for another subscription or resource group, or another kind of path.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2 or parts[0].lower() != "subscriptions":
        raise ServiceError(404, "NotFound", f"The sandbox's Resource Manager has nothing at {path}.")
    if parts[1].lower() != SUBSCRIPTION:
        raise ServiceError(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")
    rest = parts[2:]
    if len(rest) == 1:
        return ResourcePath(False, None, (rest[0].lower(),))
    in_group = len(rest) >= 2 and rest[0].lower() == "resourcegroups"
    if in_group:
        if rest[1].lower() != RESOURCE_GROUP:
            raise ServiceError(404, "ResourceGroupNotFound", f"Resource group '{rest[1]}' could not be found.")
        rest = rest[2:]
    if not rest:
        return ResourcePath(in_group, None, ())
    if len(rest) < 2 or rest[0].lower() != "providers":
        raise ServiceError(404, "NotFound", f"The sandbox's Resource Manager has nothing at {path}.")
    segments = tuple(part if index % 2 else part.lower() for index, part in enumerate(rest[2:]))
    return ResourcePath(in_group, rest[1].lower(), segments)


def group_id(name: str) -> str:
    """Return the ARM id of a container group."""
    provider = "Microsoft.ContainerInstance/containerGroups"
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/{provider}/{name}"


def group_not_found(name: str) -> ServiceError:
    """Return the service's 404 for a container group."""
    resource = f"Microsoft.ContainerInstance/containerGroups/{name}"
    text = f"The Resource '{resource}' under resource group '{RESOURCE_GROUP}' was not found."
    return ServiceError(404, "ResourceNotFound", text)
