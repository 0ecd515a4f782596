"""The digest of a seccomp profile, over the normal form that the service computes too."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.errors import PolicyError

_TOP = (
    "defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls",
)  # fmt: skip
_SYSCALL_DEFAULTS: dict[str, Any] = {"names": [], "action": ""}
_ARGUMENT_DEFAULTS: dict[str, Any] = {"index": 0, "value": 0, "op": ""}


def profile_digest(encoded: str) -> str:
    """SHA-256 of a profile given as base64 of its JSON, 64 hex digits; no profile gives an empty text.

    Raises:
        PolicyError: The profile is malformed.
    """
    if not encoded:
        return ""
    try:
        profile = json.loads(base64.b64decode(encoded, validate=True))
        text = json.dumps(_normalise(profile), separators=(",", ":"))
    except (binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise PolicyError("securityContext.seccompProfile must be base64 of a profile in JSON") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _normalise(profile: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"defaultAction": ""} | {key: profile[key] for key in _TOP if key in profile}
    if "syscalls" in kept:
        kept["syscalls"] = [
            _ordered(call, _SYSCALL_DEFAULTS, ("names", "action", "errnoRet", "args")) for call in kept["syscalls"]
        ]
        for call in kept["syscalls"]:
            if "args" in call:
                call["args"] = [
                    _ordered(arg, _ARGUMENT_DEFAULTS, ("index", "value", "valueTwo", "op")) for arg in call["args"]
                ]
    return kept


def _ordered(given: Mapping[str, Any], defaults: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: given.get(key, defaults.get(key)) for key in keys if key in given or key in defaults}
