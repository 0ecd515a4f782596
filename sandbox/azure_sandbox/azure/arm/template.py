"""The part of the ARM template language that the ways of the documentation need; anything else is refused. Pure.

Grammar: learn.microsoft.com, "Template functions in ARM templates". An expression is a text that begins with `[` and
ends with `]`; `[[` stands for a bracket itself. Functions may be nested, take texts and whole numbers, and be followed
by `.name` or `[…]`.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure_sandbox.azure.errors import ServiceError
from azure_sandbox.names import RESOURCE_GROUP, SUBSCRIPTION

Json = Mapping[str, Any]

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[()\[\],.]))")

NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|(?P<key>,\s*template:)', re.DOTALL)
"""azure-cli sends the template's file as it is, comments included, after a key without quotes. Texts come first, so
that what is in them stays."""

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "securestring": str,
    "int": int,
    "bool": bool,
    "object": dict,
    "secureobject": dict,
    "array": list,
}


def invalid_template(message: str) -> ServiceError:
    """Return the service's 400 for a template."""
    text = f"Deployment template validation failed: '{message}'."
    return ServiceError(400, "InvalidTemplate", text)


def read_jsonc(text: str) -> dict[str, Any]:
    """Read a deployment's body: JSON, or what azure-cli makes of it (comments, lines in texts, a bare key).

    Raises:
        ServiceError: 400 InvalidRequestContent.
    """

    def clean(found: re.Match[str]) -> str:
        if found["key"]:
            return ', "template":'
        return found[0] if found[0].startswith('"') else " "

    try:
        body = json.loads(NOT_JSON.sub(clean, text), strict=False)
    except ValueError as error:
        text = f"The request content was invalid and could not be deserialized: '{error}'."
        raise ServiceError(400, "InvalidRequestContent", text) from error
    if not isinstance(body, dict):
        raise ServiceError(400, "InvalidRequestContent", "The request content is not a JSON object.")
    return body


@dataclass(frozen=True)
class Template:
    """A template with its parameters: what it deploys, and what it answers.

    Attributes:
        resources: With every expression evaluated.
        outputs: By name, with type and value.
        parameters: By name, with type and value; secure ones without value.
    """

    resources: tuple[dict[str, Any], ...]
    outputs: dict[str, Any]
    parameters: dict[str, Any]


def evaluate(properties: Json, location: str) -> Template:
    """Evaluate the template of a deployment.

    Args:
        properties: `properties` of the deployment: template and parameters.
        location: The resource group's.

    Raises:
        ServiceError: 400 InvalidTemplate or InvalidTemplateDeployment.
    """
    template = properties.get("template")
    if not isinstance(template, Mapping):
        raise ServiceError(400, "InvalidRequestContent", "The deployment has no template; templateLink is not taken.")
    scope = _Scope(template, properties.get("parameters") or {}, location)
    resources = template.get("resources")
    if not isinstance(resources, list):
        raise invalid_template("Required property 'resources' not found in JSON")
    for resource in resources:
        if not isinstance(resource, Mapping) or not {"type", "apiVersion", "name"} <= set(resource):
            raise invalid_template("a resource needs 'type', 'apiVersion' and 'name'")
        if "copy" in resource:
            raise invalid_template("the sandbox does not know 'copy'")
    made = [scope.value(resource) for resource in resources if scope.value(resource.get("condition", True))]
    outputs = {
        name: {"type": output.get("type"), "value": scope.value(output.get("value"))}
        for name, output in (template.get("outputs") or {}).items()
    }
    return Template(tuple(made), outputs, scope.shown_parameters())


class _Scope:
    """What expressions can refer to."""

    def __init__(self, template: Json, given: Json, location: str) -> None:
        self._declared: dict[str, Json] = {name.lower(): one for name, one in template.get("parameters", {}).items()}
        self._given = {name.lower(): one for name, one in given.items()}
        self._names = {name.lower(): name for name in template.get("parameters", {})}
        self._variables = {name.lower(): one for name, one in template.get("variables", {}).items()}
        self._location = location
        self._open: list[str] = []
        if unknown := set(self._given) - set(self._declared):
            names = ", ".join(sorted(unknown))
            raise invalid_template(f"The following parameters were supplied, but do not correspond to any: '{names}'")
        self._parameters = {name: self._parameter(name) for name in self._declared}
        self._functions: dict[str, Callable[..., Any]] = {
            "parameters": self._parameter_value,
            "variables": self._variable,
            "resourcegroup": lambda: {
                "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}",
                "name": RESOURCE_GROUP,
                "location": self._location,
            },
            "subscription": lambda: {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION},
            "concat": _concat,
            "resourceid": _resource_id,
            "tolower": lambda text: str(text).lower(),
            "toupper": lambda text: str(text).upper(),
            "string": lambda value: value if isinstance(value, str) else json.dumps(value, separators=(",", ":")),
            "int": int,
            "base64": lambda text: base64.b64encode(str(text).encode()).decode(),
            "base64tostring": lambda text: base64.b64decode(text).decode(),
            "createarray": lambda *values: list(values),
            "format": lambda pattern, *values: str(pattern).format(*values),
            "empty": lambda value: not value,
            "equals": lambda one, other: one == other,
            "if": lambda condition, then, other: then if condition else other,
        }

    def value(self, raw: Any) -> Any:
        """Evaluate whatever is an expression in a value, at any depth."""
        if isinstance(raw, Mapping):
            return {self.value(name): self.value(one) for name, one in raw.items()}
        if isinstance(raw, list):
            return [self.value(one) for one in raw]
        if not isinstance(raw, str) or not (raw.startswith("[") and raw.endswith("]")):
            return raw
        return raw[1:] if raw.startswith("[[") else self._expression(raw)

    def shown_parameters(self) -> dict[str, Any]:
        """Return the parameters as a deployment shows them."""
        shown = {}
        for name, declared in self._declared.items():
            kind = str(declared["type"])
            secure = kind.lower().startswith("secure")
            shown[self._names[name]] = {"type": kind} | ({} if secure else {"value": self._parameters[name]})
        return shown

    def _parameter(self, name: str) -> Any:
        declared, shown = self._declared[name], self._names[name]
        kind = str(declared.get("type", ""))
        if kind.lower() not in TYPES:
            raise invalid_template(f"The template parameter '{shown}' has no valid type")
        given = self._given.get(name, {})
        if "value" in given:
            value = given["value"]
        elif "defaultValue" in declared:
            value = declared["defaultValue"]
        else:
            raise invalid_template(f"The value for the template parameter '{shown}' is not provided")
        is_expression = isinstance(value, str) and "value" not in given
        if not is_expression and not isinstance(value, TYPES[kind.lower()]):
            raise invalid_template(f"The provided value for the template parameter '{shown}' is not of type '{kind}'")
        allowed = declared.get("allowedValues")
        if allowed is not None and value not in allowed:
            raise invalid_template(f"The provided value for the template parameter '{shown}' is not valid")
        return value

    def _parameter_value(self, name: str) -> Any:
        if name.lower() not in self._parameters:
            raise invalid_template(f"The template parameter '{name}' is not found")
        value = self._parameters[name.lower()]
        return value if "value" in self._given.get(name.lower(), {}) else self.value(value)

    def _variable(self, name: str) -> Any:
        if name.lower() not in self._variables:
            raise invalid_template(f"The template variable '{name}' is not found")
        if name.lower() in self._open:
            raise invalid_template(f"The template variable '{name}' refers to itself")
        self._open.append(name.lower())
        try:
            return self.value(self._variables[name.lower()])
        finally:
            self._open.pop()

    def _expression(self, raw: str) -> Any:
        tokens = _Tokens(raw)
        value = self._term(tokens)
        tokens.end()
        return value

    def _term(self, tokens: "_Tokens") -> Any:
        kind, text = tokens.next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        if kind != "name":
            raise tokens.invalid()
        value = self._call(text, tokens)
        while (sign := tokens.take(".", "[")) is not None:
            key = tokens.next("name")[1] if sign == "." else self._term(tokens)
            if sign == "[":
                tokens.take_or_fail("]")
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise invalid_template(
                    f"'{key}' does not exist in the template language expression '{tokens.raw}'"
                ) from None
        return value

    def _call(self, name: str, tokens: "_Tokens") -> Any:
        tokens.take_or_fail("(")
        arguments = []
        if tokens.take(")") is None:
            arguments.append(self._term(tokens))
            while tokens.take_or_fail(",", ")") == ",":
                arguments.append(self._term(tokens))
        function = self._functions.get(name.lower())
        if function is None:
            raise invalid_template(f"The template function '{name}' is not valid, or the sandbox does not know it")
        try:
            return function(*arguments)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError, binascii.Error):
            text = f"Unable to evaluate the template function '{name}' in '{tokens.raw}': its arguments do not fit"
            raise invalid_template(text) from None


class _Tokens:
    """The tokens of one expression."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._all = list(self._split(raw[1:-1]))
        self._at = 0

    def invalid(self) -> ServiceError:
        """Return the error for an expression that is malformed."""
        return invalid_template(f"Unable to parse language expression '{self.raw[1:-1]}'")

    def next(self, wanted: str | None = None) -> tuple[str, str]:
        """Take the next token."""
        if self._at >= len(self._all) or wanted not in (None, self._all[self._at][0]):
            raise self.invalid()
        self._at += 1
        return self._all[self._at - 1]

    def take(self, *signs: str) -> str | None:
        """Take the next token if it is one of these signs."""
        if self._at < len(self._all) and self._all[self._at][0] == "sign" and self._all[self._at][1] in signs:
            return self.next()[1]
        return None

    def take_or_fail(self, *signs: str) -> str:
        """Take the next token, which has to be one of these signs."""
        sign = self.take(*signs)
        if sign is None:
            raise self.invalid()
        return sign

    def end(self) -> None:
        """Fail unless everything was taken."""
        if self._at < len(self._all):
            raise self.invalid()

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        at, text = 0, text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise self.invalid()
            yield found.lastgroup, found[found.lastgroup]
            at = found.end()


def _concat(*values: Any) -> Any:
    if values and all(isinstance(value, list) for value in values):
        return [one for value in values for one in value]
    if any(isinstance(value, list | dict) for value in values):
        raise TypeError
    return "".join(str(value) for value in values)


def _resource_id(*parts: str) -> str:
    kinds = [part for part in parts if "/" in part and not part.startswith("/")]
    at = parts.index(kinds[0])
    provider, *types = parts[at].split("/")
    names: Sequence[str] = parts[at + 1 :]
    if len(types) != len(names) or at > 2:
        raise ValueError
    group = parts[at - 1] if at else RESOURCE_GROUP
    subscription = parts[0] if at == 2 else SUBSCRIPTION
    tail = "/".join(f"{kind}/{name}" for kind, name in zip(types, names, strict=True))
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{tail}"
