"""Which changes a PUT can make to a group that exists."""

import json
from collections.abc import Mapping
from typing import Any

from azure_sandbox.azure.errors import ServiceError

FIXED = ("osType", "restartPolicy", "sku", "subnetIds", "confidentialComputeProperties")
"""Properties of the virtual machine underneath; the policy's hash is in its launch data."""

Json = Mapping[str, Any]


def check_update(name: str, before: Json, after: Json) -> None:
    """Compare two bodies.

    Raises:
        ServiceError: 400 for a change that needs another group.
    """
    for field in FIXED:
        if _value(before["properties"].get(field)) != _value(after["properties"].get(field)):
            raise _refused(name)
    if _sizes(before) != _sizes(after) or before.get("zones") != after.get("zones"):
        raise _refused(name)


def same(before: Json, after: Json) -> bool:
    """Whether two bodies say the same apart from tags."""
    return _value({**before, "tags": None}) == _value({**after, "tags": None})


def _sizes(body: Json) -> list[str]:
    return [_value(container["properties"].get("resources")) for container in body["properties"]["containers"]]


def _value(value: object) -> str:
    """Return a form that does not depend on the order of keys or, for names, on case."""
    return json.dumps(value, sort_keys=True).lower() if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _refused(name: str) -> ServiceError:
    text = (
        f"The updates on container group '{name}' are invalid. If you are going to update the os type, restart policy, "
        "network profile, CPU, memory or GPU resources for a container group, you must delete it first and then create "
        "a new one."
    )
    return ServiceError(400, "InvalidContainerGroupUpdate", text)
