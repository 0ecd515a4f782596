"""What somebody else changed in a container group, as Resource Manager shows it. Pure.

Resource Manager repeats what it was sent, in its own way: ids in another case, defaults filled in, secrets left out.
So both sides are brought into one form, of everything that decides what runs, on what, where and for whom.
"""

from collections.abc import Mapping
from typing import Any

from confidential_summarizer.targets.container_group.state import GroupBody
from confidential_summarizer.targets.differences import differences

ADDED = ("initContainers", "dnsConfig", "diagnostics", "encryptionProperties", "extensions")
"""Properties that we never send and that change what runs or who sees it."""
ADDRESS = ("exposure", "ports", "dnsNameLabel")
"""What is compared of a group's address."""


def changes(wanted: GroupBody, live: GroupBody) -> list[str]:
    """Return the paths of a live group that are not what was sent."""
    expected, shown, properties = _view(wanted), _view(live), live["properties"]
    # What the service does not repeat (its version decides), or has not got yet, nobody has changed.
    hidden = [] if shown["policy"] else ["policy"]
    if not properties.get("ipAddress") and properties.get("provisioningState") != "Succeeded":
        hidden += ADDRESS
    return list(differences(expected, shown | {name: expected[name] for name in hidden}))


def _view(group: GroupBody) -> dict[str, Any]:
    properties = group["properties"]
    address = properties.get("ipAddress") or {}
    return {
        "location": str(group.get("location", "")).replace(" ", "").lower(),
        "zones": list(group.get("zones") or ()),
        "identity": sorted(i.lower() for i in (group.get("identity") or {}).get("userAssignedIdentities") or ()),
        "sku": properties.get("sku") or "Standard",
        "osType": properties.get("osType"),
        "restartPolicy": properties.get("restartPolicy") or "Always",
        "policy": (properties.get("confidentialComputeProperties") or {}).get("ccePolicy"),
        "exposure": address.get("type"),
        "ports": sorted(_port(port) for port in address.get("ports") or ()),
        "dnsNameLabel": address.get("dnsNameLabel"),
        "subnets": sorted(subnet["id"].lower() for subnet in properties.get("subnetIds") or ()),
        "containers": [_container(container) for container in properties.get("containers") or ()],
        "volumes": [_volume(volume) for volume in properties.get("volumes") or ()],
        **{name: bool(properties.get(name)) for name in ADDED},
    }


def _container(container: Mapping[str, Any]) -> dict[str, Any]:
    properties = container["properties"]
    security = properties.get("securityContext") or {}
    requests = (properties.get("resources") or {}).get("requests") or {}
    return {
        "name": container["name"],
        "image": properties.get("image"),
        "command": list(properties.get("command") or ()),
        "environmentVariables": [
            {"name": variable["name"], "value": variable.get("value") or ""}
            for variable in properties.get("environmentVariables") or ()
        ],
        "ports": sorted(_port(port) for port in properties.get("ports") or ()),
        "privileged": bool(security.get("privileged")),
        "capabilities": sorted((security.get("capabilities") or {}).get("add") or ()),
        "cpu": str(float(requests.get("cpu") or 0)),
        "memoryInGB": float(requests.get("memoryInGB") or 0),
        "volumeMounts": [
            {"name": mount["name"], "mountPath": mount["mountPath"], "readOnly": bool(mount.get("readOnly"))}
            for mount in properties.get("volumeMounts") or ()
        ],
    }


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": volume["name"],
        "kind": sorted(key for key, value in volume.items() if key != "name" and value is not None),
    }


def _port(port: Mapping[str, Any]) -> str:
    return f"{port['port']}/{port.get('protocol') or 'TCP'}"
