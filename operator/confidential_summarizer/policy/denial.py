"""Refusals found in the messages of Azure and of kubelets, decoded and explained."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confidential_summarizer.errors import quoted

_BLOB = re.compile(r"policyDecision<\s*([A-Za-z0-9+/=_-]+)\s*>policyDecision")
_PLAIN = re.compile(r"([a-z0-9_]+) not allowed by policy\.?(?: Errors: \[(.*?)\])?", re.DOTALL)
_BARE = re.compile(r"denied (?:by|due to) policy|not allowed by policy")
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Denial:
    """A refusal by the guest.

    Attributes:
        rule: The enforcement point that refused, or empty where the message does not say.
        errors: Its reasons, in the framework's words.
        input: The refused request, as far as it was told; values of variables are never in it.
        truncated: What was cut to keep the message short.
    """

    rule: str
    errors: tuple[str, ...]
    input: Mapping[str, Any]
    truncated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """One reason in words: what happened, and what to do."""

    error: str
    cause: str
    remedy: str


def find_denial(text: str) -> Denial | None:
    """The first refusal in a message of any layer above the guest, or none if the message tells of none."""
    text = text[:_LONGEST]
    for blob in _BLOB.finditer(text):
        decoded = decode(blob.group(1))
        if decoded:
            return decoded
    plain = _PLAIN.search(text)
    if plain:
        errors = tuple(part.strip() for part in (plain.group(2) or "").split(",") if part.strip())
        return Denial(plain.group(1), errors, {})
    return Denial("", (), {}) if _BARE.search(text) else None


def decode(blob: str) -> Denial | None:
    """Read the base64 of one decision; none if it is no refusal."""
    try:
        padded = blob.replace("-", "+").replace("_", "/")
        document = json.loads(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("decision") != "deny":
        return None
    given = document.get("input")
    request = given if isinstance(given, dict) else {}
    truncated = document.get("truncated")
    return Denial(
        rule=str(request.get("rule") or ""),
        errors=_errors(document),
        input=request,
        truncated=tuple(map(str, truncated)) if isinstance(truncated, list) else (),
    )


def _errors(document: Mapping[str, Any]) -> tuple[str, ...]:
    reason = document.get("reason")
    errors: list[str] = []
    if isinstance(reason, str):
        errors.append(reason)
    elif isinstance(reason, dict) and isinstance(reason.get("errors"), list):
        errors += [str(error) for error in reason["errors"]]
    if isinstance(document.get("policyError"), str):
        errors.append(document["policyError"])
    return tuple(errors)


def explanation(denial: Denial) -> str:
    """Say in one line what the guest refused, and what to do about it."""
    return " ".join(f"{reason.error}: {reason.cause}; {reason.remedy}." for reason in explain(denial))


def explain(denial: Denial) -> tuple[Explanation, ...]:
    """Cause and remedy of each reason; one entry at least."""
    if not denial.errors:
        shortened = f" (the message was shortened: {quoted(', '.join(denial.truncated))})" if denial.truncated else ""
        return (
            Explanation(
                "no reason given",
                f"the guest refused {quoted(denial.rule or 'a request')} without saying why{shortened}",
                "compare the policy with what is deployed: csum policy verify POLICY --against FILE",
            ),
        )
    return tuple(_explain(error, denial) for error in denial.errors)


def _explain(error: str, denial: Denial) -> Explanation:
    for start, cause, remedy in _CAUSES:
        if error.startswith(start):
            return Explanation(quoted(error), cause.format(**_details(error, denial)), remedy)
    return Explanation(
        quoted(error),
        "the guest's rules give a reason that this version does not know",
        "compare the policy with what is deployed: csum policy verify POLICY --against FILE",
    )


def _details(error: str, denial: Denial) -> dict[str, str]:
    return {
        "names": quoted(error.partition(": ")[2] or "a variable"),
        "hash": quoted(denial.input.get("deviceHash") or "unknown"),
        "command": quoted(json.dumps(denial.input["argList"])) if "argList" in denial.input else "(not told)",
    }


_REGENERATE = "write the policy anew from exactly what is deployed, and let the key's owner admit its new host-data"

_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "deviceHash not found",
        "a layer with root hash {hash} is not in the policy: the image that was pulled is another one than was "
        "measured, its tag moved, or the host computes another hash for this layer",
        "name images by digest and write the policy anew; csum policy lint finds layers that older hosts hash "
        "otherwise",
    ),
    (
        "no matching containers for overlay",
        "the layers are known, but no container has exactly these in this order",
        _REGENERATE,
    ),
    (
        "invalid command",
        "command {command} is not what the policy allows",
        f"correct command and args, or {_REGENERATE}",
    ),
    (
        "invalid env list",
        "no rule covers the value of {names}",
        f"set the variable to the value that the policy pins, or {_REGENERATE}",
    ),
    (
        "missing required environment variable",
        "a variable that the policy requires is not set to its pinned value",
        f"set all variables as when the policy was written, or {_REGENERATE}",
    ),
    (
        "invalid mount list",
        "mount {names} is not in the policy; one for a container group does not fit a virtual node, and the reverse",
        "write the policy for the target that is used, with the same volumes",
    ),
    ("invalid working directory", "the working directory is not the policy's", f"do not change it, or {_REGENERATE}"),
    ("invalid user", "the user or group is not the policy's", f"correct runAsUser and runAsGroup, or {_REGENERATE}"),
    ("invalid seccomp", "the seccomp profile is not the policy's", f"correct the profile, or {_REGENERATE}"),
    (
        "invalid noNewPrivileges",
        "the policy forbids processes to gain privileges, the request does not",
        "set allowPrivilegeEscalation: false",
    ),
    (
        "capabilities don't match",
        "the capabilities are not the policy's",
        f"correct securityContext.capabilities, or {_REGENERATE}",
    ),
    (
        "devices not supported",
        "a device was asked for, which no policy can allow",
        "remove the device from the container",
    ),
    (
        "privileged escalation not allowed",
        "the container asks to be privileged, the policy does not allow it",
        f"remove privileged: true, or {_REGENERATE}",
    ),
    (
        "containers only distinguishable by",
        "two containers of the policy are the same but for one property, so the guest cannot tell which is meant",
        "give the containers different commands or variables",
    ),
    (
        "framework_version is ahead",
        "the policy asks for newer rules than the region's guests have",
        "write the policy with the contract of an older version (--contract 0.10 or 0.11)",
    ),
    ("framework_version is missing", "the policy does not say which rules it was written for", _REGENERATE),
    (
        "invalid fragment",
        "the service's own policy fragment comes from another issuer or feed than the policy expects",
        "update the file of service constants and write the policy anew",
    ),
    (
        "fragment svn is below the specified minimum",
        "the service's own policy fragment is older than the policy demands",
        "lower the demand with --infrastructure-svn, or wait until the region has the newer fragment",
    ),
    (
        "unencrypted scratch not allowed",
        "the host wants to mount scratch space without encryption",
        "nothing in the policy is wrong: report it to the service if it stays",
    ),
    (
        "target isn't allowed to receive the signal",
        "the policy does not list this signal for the process",
        "let the container stop by itself, or write the policy with contract 0.11, which lists the usual signals",
    ),
    ("container not started", "the request came before the container was started", "wait for the container to run"),
    ("container already started", "the container was to be started twice", "delete the group and create it again"),
    (
        "device already mounted at path",
        "a device was to be mounted twice, as after a retry",
        "delete the group and create it again",
    ),
    (
        "overlay has already been mounted",
        "an overlay was to be mounted twice, as after a retry",
        "delete the group and create it again",
    ),
    (
        "Security policy is",
        "the guest cannot read the policy at all",
        "check that the policy is base64 of the text that csum policy generate wrote, and that its contract is not "
        "newer than the region's guests",
    ),
)
