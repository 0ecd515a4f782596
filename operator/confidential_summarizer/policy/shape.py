"""What a file has to be made of where we look into it: lists, objects and plain values.

Azure and Kubernetes check much more; this only keeps a wrong file from ending in a traceback.
"""

from collections.abc import Mapping
from typing import Any, Final

from confidential_summarizer.errors import PolicyError

PLAIN: Final = "text, a number or a truth value"
TEXT: Final = "text"
OBJECT: Final[Mapping[str, Any]] = {}

_PROBES = {key: {"exec": {"command": [PLAIN]}} for key in ("livenessProbe", "readinessProbe", "startupProbe")}
_SECURITY = {"capabilities": {"add": [TEXT], "drop": [TEXT]}}
_DESCRIBED = {
    "image": PLAIN,
    "containerImage": PLAIN,
    "command": [PLAIN],
    "environmentVariables": [dict.fromkeys(("name", "value", "secureValue", "regex", "strategy"), PLAIN)],
    "volumeMounts": [dict.fromkeys(("name", "mountPath", "mountType", "readOnly"), PLAIN) | {"options": [PLAIN]}],
    "mounts": [dict.fromkeys(("mountPath", "mountType", "readOnly"), PLAIN)],
    "execProcesses": [{"command": [PLAIN]}],
    "securityContext": _SECURITY,
    "workingDir": PLAIN,
    **_PROBES,
}
_CONTAINER = {"name": PLAIN, "properties": _DESCRIBED}
_POD_CONTAINER = {
    "name": PLAIN,
    "image": PLAIN,
    "command": [PLAIN],
    "args": [PLAIN],
    "workingDir": PLAIN,
    "env": [{"name": PLAIN, "value": PLAIN, "valueFrom": OBJECT}],
    "envFrom": [OBJECT],
    "volumeMounts": [dict.fromkeys(("name", "mountPath", "readOnly"), PLAIN)],
    "securityContext": _SECURITY,
    "lifecycle": {key: {"exec": {"command": [PLAIN]}} for key in ("postStart", "preStop")},
    **_PROBES,
}

CONTAINER_GROUP: Final = {
    "name": PLAIN,
    "properties": {"containers": [_CONTAINER], "initContainers": [_CONTAINER], "volumes": [{"name": PLAIN}]},
}
"""The ARM resource, once parameters are put in."""
TEMPLATE: Final = {"parameters": OBJECT, "variables": OBJECT}
"""An ARM template; what it says of resources may be expressions."""
DEFINITIONS: Final = {"containers": [{**_CONTAINER, **_DESCRIBED}], "fragments": [OBJECT], "labels": OBJECT}
"""What the Azure tooling's `--input` takes."""
MANIFEST: Final = {"metadata": {"annotations": OBJECT, "labels": OBJECT}, "data": OBJECT, "stringData": OBJECT}
"""Any Kubernetes object."""
POD: Final = {
    "metadata": {"annotations": OBJECT, "labels": OBJECT},
    "spec": {
        "containers": [_POD_CONTAINER],
        "initContainers": [_POD_CONTAINER],
        "volumes": [{"name": PLAIN}],
        "securityContext": OBJECT,
    },
    "volumeClaimTemplates": [{"metadata": OBJECT, "spec": {"accessModes": [PLAIN]}}],
}
"""A pod, or what a workload makes pods of."""


def check_shape(value: Any, shape: Any, where: str) -> None:
    """Refuse a part of a file that is made of something else.

    Args:
        value: Parsed JSON or YAML; a field without a value is one that is not there.
        shape: A mapping: an object, whose fields of these names, in whatever case, are looked at as well. A list of one
            shape: a list of such. `PLAIN` or `TEXT`.
        where: The way to it, for the message.

    Raises:
        PolicyError: It is.
    """
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise PolicyError(f"{where} must be an object")
        known = {name.lower(): part for name, part in shape.items()}
        for name, part in value.items():
            if part is not None and (wanted := known.get(str(name).lower())) is not None:
                check_shape(part, wanted, f"{where}.{name}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise PolicyError(f"{where} must be a list")
        for number, part in enumerate(value):
            check_shape(part, shape[0], f"{where}[{number}]")
    elif not isinstance(value, str if shape == TEXT else str | int | float):
        raise PolicyError(f"{where} must be {shape}")
