"""The vault's reading of a key release policy (Key Vault policy grammar, version 1.0.0; the older 0.2 is taken too).

Written apart from the product's own reading of the same grammar on purpose: the two check each other.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azure_sandbox.azure.errors import ServiceError

VERSIONS = ("1.0.0", "0.2")
MAX_BYTES = 10240
"""Longest encoded policy that the sandbox takes."""

Scalar = str | int | float | bool


def _number(value: Scalar) -> float:
    return float(value) if not isinstance(value, bool) else float("nan")


OPERATORS: Mapping[str, Callable[[Scalar, Scalar], bool]] = {
    "equals": lambda claim, wanted: text(claim) == text(wanted),
    "notEquals": lambda claim, wanted: text(claim) != text(wanted),
    "less": lambda claim, wanted: _number(claim) < _number(wanted),
    "lessOrEquals": lambda claim, wanted: _number(claim) <= _number(wanted),
    "greater": lambda claim, wanted: _number(claim) > _number(wanted),
    "greaterOrEquals": lambda claim, wanted: _number(claim) >= _number(wanted),
}
"""A policy writes "false" and "0" where the token has JSON false and 0: both sides are compared as text."""

EXISTS = "exists"


def text(value: Scalar) -> str:
    """Return a JSON scalar as the service compares it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def parse_policy(data: bytes) -> dict[str, Any]:
    """Check that bytes are a release policy and return it.

    Raises:
        ServiceError: 400 BadParameter with what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(f"it has {len(data)} bytes, at most {MAX_BYTES} are allowed")
    try:
        policy = json.loads(data)
    except ValueError as error:
        raise _malformed("it is not JSON") from error
    if not isinstance(policy, dict) or policy.get("version") not in VERSIONS:
        raise _malformed(f"version has to be one of {', '.join(VERSIONS)}")
    for authority in _conditions(policy, "anyOf"):
        if not isinstance(authority.get("authority"), str) or not authority["authority"].startswith("https://"):
            raise _malformed("every entry of anyOf needs an authority that begins with https://")
        for condition in _conditions(authority, _combinator(authority)):
            _check_condition(condition)
    return policy


def satisfied(policy: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """Whether the claims of a token (its `iss` among them) meet a policy that `parse_policy` took."""
    return any(
        entry["authority"].rstrip("/") == str(claims.get("iss", "")).rstrip("/") and _entry_holds(entry, claims)
        for entry in policy["anyOf"]
    )


def _entry_holds(entry: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    combine = any if _combinator(entry) == "anyOf" else all
    return combine(_condition_holds(condition, claims) for condition in entry[_combinator(entry)])


def _condition_holds(condition: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    found = _look_up(claims, condition["claim"])
    if EXISTS in condition:
        return (found is not None) == (text(condition[EXISTS]) == "true")
    if not isinstance(found, Scalar):
        return False
    operator = _operator(condition)
    try:
        return OPERATORS[operator](found, condition[operator])
    except ValueError:
        return False  # an order was asked of something that is no number


def _look_up(claims: Mapping[str, Any], name: str) -> object:
    """Find a claim by its whole name, else by walking into objects at the dots."""
    if name in claims:
        return claims[name]
    head, dot, rest = name.partition(".")
    inner = claims.get(head)
    return _look_up(inner, rest) if dot and isinstance(inner, Mapping) else None


def _combinator(entry: Mapping[str, Any]) -> str:
    present = [name for name in ("allOf", "anyOf") if name in entry]
    if len(present) != 1:
        raise _malformed("an authority needs either allOf or anyOf")
    return present[0]


def _conditions(parent: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    children = parent.get(name)
    if not isinstance(children, list) or not children or not all(isinstance(child, dict) for child in children):
        raise _malformed(f"{name} has to be a list with at least one object")
    return children


def _operator(condition: Mapping[str, Any]) -> str:
    present = [name for name in (*OPERATORS, EXISTS) if name in condition]
    if len(present) != 1 or set(condition) != {"claim", present[0]}:
        raise _malformed("a condition holds a claim and one operator, nothing else")
    return present[0]


def _check_condition(condition: Mapping[str, Any]) -> None:
    if not isinstance(condition.get("claim"), str) or not condition["claim"]:
        raise _malformed("a condition needs the name of a claim")
    if not isinstance(condition[_operator(condition)], Scalar):
        raise _malformed(f"the value for claim {condition['claim']} has to be a string, a number or a boolean")


def _malformed(cause: str) -> ServiceError:
    return ServiceError(400, "BadParameter", f"The release policy is not valid: {cause}.")
