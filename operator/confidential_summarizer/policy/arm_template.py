"""ARM templates: parameters and variables put in, container groups found, policies set.

What is understood is what `az confcom acipolicygen` understands: plain `[parameters('x')]` and `[variables('x')]`, no
functions, copy loops or nested templates.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.container_group import UnknownParameter, get
from confidential_summarizer.policy.shape import CONTAINER_GROUP, TEMPLATE, check_shape

_TYPES = frozenset(
    {"Microsoft.ContainerInstance/containerGroups", "Microsoft.ContainerInstance/containerGroupProfiles"}
)
_REFERENCE = re.compile(r"\[(parameters|variables)\(\s*'([^'./]+)'\s*\)\]")

Json = Mapping[str, Any]


def container_groups(template: Json, parameters: Json | None = None) -> list[dict[str, Any]]:
    """The template's container groups and profiles, in order, with parameters and variables put in.

    Args:
        template: The template.
        parameters: The parameter file, whose values go before those of the template.

    Raises:
        PolicyError: There is no container group, or one is none, or a reference or parameter is not declared.
    """
    check_shape(template, TEMPLATE, "the template")
    check_shape(parameters or {}, TEMPLATE, "the parameter file")
    values = _Values(template, parameters or {})
    found = [resource for resource in _resources(template) if resource.get("type") in _TYPES]
    if not found:
        raise PolicyError("the template has no resource of type Microsoft.ContainerInstance/containerGroups")
    groups = [values.resolved(copy.deepcopy(dict(resource))) for resource in found]
    for group in groups:
        check_shape(group, CONTAINER_GROUP, f"container group {group.get('name')}")
    return groups


def set_policies(template: dict[str, Any], policies: Iterable[str]) -> None:
    """Put one base64 policy into each container group of the template, in order."""
    groups = [resource for resource in _resources(template) if resource.get("type") in _TYPES]
    for resource, policy in zip(groups, policies, strict=True):
        properties = _child(resource, "properties")
        _child(properties, "confidentialComputeProperties")["ccePolicy"] = policy


def existing_policies(template: Json) -> list[str]:
    """The base64 policies that the template's container groups carry; empty texts where there is none."""
    found = []
    for resource in _resources(template):
        if resource.get("type") in _TYPES:
            confidential = get(get(resource, "properties") or {}, "confidentialComputeProperties") or {}
            found.append(str(get(confidential, "ccePolicy") or ""))
    return found


def _resources(template: Json) -> list[dict[str, Any]]:
    resources = template.get("resources")
    if isinstance(resources, dict):  # language version 2.0 names its resources
        resources = list(resources.values())
    if not isinstance(resources, list):
        raise PolicyError("the template has no resources: is it an ARM template?")
    return [one for one in resources if isinstance(one, dict) and isinstance(one.get("type"), str)]


def _child(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of this name, whatever its case, made if it is missing."""
    for key, value in parent.items():
        if key.lower() == name.lower() and isinstance(value, dict):
            return value
    made: dict[str, Any] = {}
    parent[name] = made
    return made


class _Values:
    """Values of parameters and variables by lower-case name."""

    def __init__(self, template: Json, parameters: Json) -> None:
        declared = template.get("parameters") or {}
        given = parameters.get("parameters", parameters)
        names = {str(name).lower() for name in declared}
        unknown = [str(name) for name in given if str(name).lower() not in names and not str(name).startswith("$")]
        if unknown:
            raise PolicyError(f"the parameter file gives {', '.join(unknown)}, which the template does not declare")
        by_name = {str(name).lower(): value for name, value in given.items()}
        self._parameters = {
            str(name).lower(): _value(by_name.get(str(name).lower()), declaration)
            for name, declaration in declared.items()
        }
        self._variables = {str(name).lower(): value for name, value in (template.get("variables") or {}).items()}

    def resolved(self, value: Any) -> Any:
        """A part of the template with the references in it replaced."""
        if isinstance(value, dict):
            return {key: self.resolved(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> Any:
        found = _REFERENCE.search(text)
        if not found:
            return text
        kind, name = found.groups()
        known = self._parameters if kind == "parameters" else self._variables
        if name.lower() not in known:
            raise PolicyError(f"the template uses {kind} {name!r} without declaring it")
        value = known[name.lower()]
        if value is None:
            return UnknownParameter(text)
        if found.group(0) == text:
            return self.resolved(value)
        return text.replace(found.group(0), value if isinstance(value, str) else str(value), 1)


def _value(given: Any, declaration: Any) -> Any:
    """A parameter's value: the file's, else the template's own, else its default; None if there is none."""
    declared = declaration if isinstance(declaration, dict) else {}
    given = given if isinstance(given, dict) else {}
    for value in (
        given.get("value"),
        given.get("secureValue"),
        declared.get("value"),
        declared.get("defaultValue"),
    ):
        if value is not None:
            return value
    return None
