"""Reading a policy's text back, in the layout that we and the Azure tooling write; anything else is refused.

A policy is a program. Only the forms below have a meaning here, so a text that says more than we understand is never
taken for one that says less.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.contracts import KNOWN_RULES
from confidential_summarizer.policy.document import (
    Capabilities,
    ContainerRules,
    EnvRule,
    ExecProcess,
    Fragment,
    IdentityRule,
    MountRule,
    PolicyDocument,
    PolicyFlags,
    UserRule,
)
from confidential_summarizer.policy.settings import parse_fragment
from confidential_summarizer.policy.text import SIDECAR_PACKAGE

_PACKAGE = re.compile(r"package ([A-Za-z_][A-Za-z0-9_]*)\s*\n")
_IMPORT = re.compile(r"import future\.keywords\.(?:every|in)\s*\n")
_ASSIGNMENT = re.compile(r"([a-z_][a-z0-9_]*) := ")
_REASON = re.compile(r'\{"errors": data\.framework\.errors\}')
_BINDING = re.compile(r"data\.framework\.([a-z0-9_]+)")
_SPACE = re.compile(r"\s*")
_LONGEST = 16 << 20
_FLAGS = tuple(flag.name for flag in fields(PolicyFlags))
_Item = TypeVar("_Item")

Json = Mapping[str, Any]


def parse_policy(text: str) -> PolicyDocument:
    """Read a policy.

    Raises:
        PolicyError: The text is not in the known layout, or an object in it has a missing, additional or wrongly typed
            field.
    """
    if len(text) > _LONGEST:
        raise PolicyError(f"the policy is longer than {_LONGEST} characters: refused")
    package, values, bindings = _statements(text)
    try:
        return PolicyDocument(
            api_version=_text(values["api_version"]),
            framework_version=_text(values["framework_version"]),
            fragments=_items(values.get("fragments", []), _fragment),
            containers=_items(values["containers"], _container),
            flags=PolicyFlags(**{flag: _boolean(values[flag]) for flag in _FLAGS if flag in values})
            if bindings
            else _NO_FLAGS,
            rules=tuple(bindings),
            package=package,
        )
    except KeyError as error:
        raise PolicyError(f"the policy lacks {error}: it is not in the layout that this tool reads") from None
    except TypeError as error:
        raise PolicyError(f"the policy holds a value of the wrong type ({error}): refused") from None


_NO_FLAGS = PolicyFlags(
    **dict.fromkeys(_FLAGS, False),
)


def _statements(text: str) -> tuple[str, dict[str, Any], list[str]]:
    """Package, values by name, and the enforcement points handed to the framework, in order."""
    package = _PACKAGE.match(text)
    if not package or package.group(1) not in {"policy", SIDECAR_PACKAGE}:
        raise PolicyError(
            "the policy does not begin with 'package policy': it is not in the layout that this tool reads"
        )
    values: dict[str, Any] = {}
    bindings: list[str] = []
    position = _skip(text, package.end())
    while imported := _IMPORT.match(text, position):
        position = _skip(text, imported.end())
    while position < len(text):
        name, position = _name(text, position)
        if name in values or name in bindings:
            raise PolicyError(f"the policy defines {name} twice: refused")
        if name in KNOWN_RULES:
            position = _bound(text, position, name)
            bindings.append(name)
        elif name == "reason":
            values[name], position = None, _match(_REASON, text, position, name)
        elif name in {"api_version", "framework_version", "fragments", "containers", *_FLAGS}:
            values[name], position = _json(text, position, name)
        else:
            raise PolicyError(f"the policy defines {name}, which this tool does not know: refused")
        position = _end_of_statement(text, position, name)
    return package.group(1), values, bindings


def _name(text: str, position: int) -> tuple[str, int]:
    found = _ASSIGNMENT.match(text, position)
    if not found:
        line = text.count("\n", 0, position) + 1
        raise PolicyError(f"the policy holds something else than 'name := value' in line {line}: refused")
    return found.group(1), found.end()


def _bound(text: str, position: int, name: str) -> int:
    found = _BINDING.match(text, position)
    if not found or found.group(1) != name:
        raise PolicyError(f"the policy decides {name} by itself: only data.framework.{name} is understood")
    return found.end()


def _match(pattern: re.Pattern[str], text: str, position: int, name: str) -> int:
    found = pattern.match(text, position)
    if not found:
        raise PolicyError(f"the policy defines {name} in an unknown way: refused")
    return found.end()


def _json(text: str, position: int, name: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        raise PolicyError(f"the policy's {name} is not JSON: refused") from None


def _end_of_statement(text: str, position: int, name: str) -> int:
    if position < len(text) and text[position] not in "\r\n":
        raise PolicyError(f"the policy says more about {name} than its value: refused")
    return _skip(text, position)


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _container(entry: Json) -> ContainerRules:
    _only(entry, {field.name for field in fields(ContainerRules)}, "a container")
    capabilities = entry["capabilities"]
    command = entry["command"]
    return ContainerRules(
        name=_text(entry.get("name", "")),
        id=_text(entry["id"]) if "id" in entry else None,
        layers=_texts(entry["layers"]),
        command=None if command is None else _texts(command),
        env_rules=_items(entry["env_rules"], _env_rule),
        mounts=_items(entry["mounts"], _mount),
        capabilities=None if capabilities is None else _capabilities(capabilities),
        working_dir=_text(entry["working_dir"]),
        user=_user(entry["user"]),
        signals=_signals(entry["signals"]),
        exec_processes=_items(entry["exec_processes"], _exec_process),
        allow_elevated=_boolean(entry["allow_elevated"]),
        allow_stdio_access=_boolean(entry["allow_stdio_access"]),
        no_new_privileges=_boolean(entry["no_new_privileges"]),
        seccomp_profile_sha256=_text(entry["seccomp_profile_sha256"]),
    )


def _env_rule(entry: Json) -> EnvRule:
    _only(entry, {"pattern", "strategy", "required"}, "an env rule")
    strategy = entry["strategy"]
    if strategy not in {"string", "re2"}:
        raise PolicyError(f"the policy has an env rule of strategy {strategy!r}: refused")
    return EnvRule(_text(entry["pattern"]), strategy, _boolean(entry["required"]))


def _mount(entry: Json) -> MountRule:
    _only(entry, {"destination", "source", "options", "type"}, "a mount")
    return MountRule(
        _text(entry["destination"]), _text(entry["source"]), _texts(entry["options"]), _text(entry["type"])
    )


def _exec_process(entry: Json) -> ExecProcess:
    _only(entry, {"command", "signals"}, "an exec process")
    return ExecProcess(_texts(entry["command"]), _signals(entry["signals"]))


def _capabilities(entry: Json) -> Capabilities:
    _only(entry, {field.name for field in fields(Capabilities)}, "capabilities")
    return Capabilities(**{field.name: _texts(entry[field.name]) for field in fields(Capabilities)})


def _user(entry: Json) -> UserRule:
    _only(entry, {"group_idnames", "umask", "user_idname"}, "a user rule")
    return UserRule(_identity(entry["user_idname"]), _items(entry["group_idnames"], _identity), _text(entry["umask"]))


def _identity(entry: Json) -> IdentityRule:
    _only(entry, {"pattern", "strategy"}, "a user rule")
    strategy = entry["strategy"]
    if strategy not in {"any", "id", "name", "re2"}:
        raise PolicyError(f"the policy has a user rule of strategy {strategy!r}: refused")
    return IdentityRule(_text(entry["pattern"]), strategy)


def _fragment(entry: Json) -> Fragment:
    _only(entry, {"feed", "issuer", "minimum_svn", "includes"}, "a fragment")
    return parse_fragment(entry)


def _only(entry: Json, known: set[str], subject: str) -> None:
    if not isinstance(entry, dict):
        raise TypeError(f"{subject} that is no object")
    unknown = sorted(entry.keys() - known)
    if unknown:
        raise PolicyError(f"the policy gives {subject} a field {unknown[0]!r}, which this tool does not know: refused")


def _items(value: Any, read: Callable[[Json], _Item]) -> tuple[_Item, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} for a list")
    return tuple(read(item) for item in value)


def _signals(value: Any) -> tuple[int | str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, int | str) and not isinstance(item, bool) for item in value
    ):
        raise TypeError("signals that are no list of numbers")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} for a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} for a list")
    return tuple(_text(item) for item in value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} for true or false")
    return value
