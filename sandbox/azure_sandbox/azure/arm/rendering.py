"""A container group as the service shows it: without secrets, with its state."""

import copy
from collections.abc import Mapping
from typing import Any

from azure_sandbox.azure.arm.views import container_json, group_json
from azure_sandbox.azure.principals import Principals
from azure_sandbox.guest.api import GroupView

Json = Mapping[str, Any]

TYPE = "Microsoft.ContainerInstance/containerGroups"


def redact(body: Json) -> dict[str, Any]:
    """Return a copy of a body without what the service never echoes.

    Secure values, contents of secret volumes, passwords and keys go; the policy, plain variables and commands stay.
    """
    shown = copy.deepcopy(dict(body))
    properties = shown["properties"]
    for container in (*properties.get("containers", ()), *properties.get("initContainers", ())):
        for variable in container["properties"].get("environmentVariables") or ():
            variable.pop("secureValue", None)
    for volume in properties.get("volumes") or ():
        if volume.get("secret") is not None:
            volume["secret"] = {}
        (volume.get("azureFile") or {}).pop("storageAccountKey", None)
    for credential in properties.get("imageRegistryCredentials") or ():
        credential.pop("password", None)
    ((properties.get("diagnostics") or {}).get("logAnalytics") or {}).pop("workspaceKey", None)
    for extension in properties.get("extensions") or ():
        (extension.get("properties") or {}).pop("protectedSettings", None)
    return shown


def render(
    name: str, resource_id: str, body: Json, provisioning_state: str, address: str, principals: Principals
) -> dict[str, Any]:
    """Return a group without `instanceView`, which is what lists show.

    Args:
        name: Its name.
        resource_id: Its ARM id.
        body: The body of the PUT.
        provisioning_state: For `properties.provisioningState`.
        address: For `properties.ipAddress.ip`.
        principals: Where the ids of its identities are found.
    """
    shown = redact(body)
    shown |= {"id": resource_id, "name": name, "type": TYPE}
    identities = (shown.get("identity") or {}).get("userAssignedIdentities") or {}
    for identity in identities:
        if principal := principals.by_resource_id(identity):
            identities[identity] = {"clientId": principal.client_id, "principalId": principal.object_id}
    properties = shown["properties"]
    properties["provisioningState"] = provisioning_state
    properties.setdefault("restartPolicy", "Always")
    for container in properties["containers"]:
        container["properties"].setdefault("ports", [])
    if properties.get("ipAddress") or properties.get("subnetIds"):
        properties["ipAddress"] = _ip_address(properties, shown["location"], address)
    return shown


def add_views(shown: dict[str, Any], view: GroupView) -> dict[str, Any]:
    """Add the `instanceView` of the group and of each container."""
    properties = shown["properties"]
    properties["instanceView"] = group_json(view)
    for field, views in (("containers", view.containers), ("initContainers", view.init_containers)):
        known = {one.name: one for one in views}
        for container in properties.get(field) or ():
            if one := known.get(container["name"]):
                container["properties"]["instanceView"] = container_json(one)
    return shown


def _ip_address(properties: Json, location: str, address: str) -> dict[str, Any]:
    """Return the address; a group in a subnet has a private one without asking."""
    asked = dict(properties.get("ipAddress") or {"type": "Private", "ports": []})
    asked["ip"] = address
    if label := asked.get("dnsNameLabel"):
        asked["fqdn"] = f"{label}.{location.replace(' ', '').lower()}.azurecontainer.io"
    return asked
