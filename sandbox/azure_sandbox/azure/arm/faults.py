"""Faults on demand: `PUT https://management.azure.com/sandbox/faults` scripts what the next requests meet.

```json
{"faults": [{"kind": "throttled", "method": "PUT", "group": "contracts*", "times": 2, "retryAfter": 3}]}
```

| kind | what happens |
|---|---|
| `throttled` | 429 `TooManyRequests` with Retry-After |
| `unavailable` | 503 `ServerTimeout`; nothing was done |
| `unavailable-after-write` | 503 `ServerTimeout`, but the request was carried out |
| `quota` | 409 `ContainerGroupQuotaReached` |
| `image-inaccessible` | 400 `InaccessibleImage` |
| `registry-error` | 409 `RegistryErrorResponse` |
| `capacity` | accepted; then the operation fails with an `InsufficientCapacity.` event |
| `mount-failure` | accepted; then the operation fails with a `FailedMount` event |

With `recoverAfter` (seconds), a group that failed by one of the last two starts after all, as the service's do.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure_sandbox.azure.errors import ServiceError

REFUSALS: Mapping[str, tuple[int, str, str]] = {
    "throttled": (429, "TooManyRequests", "The number of requests has exceeded the limit. Please retry later."),
    "unavailable": (503, "ServerTimeout", "The request timed out. Please retry later."),
    "unavailable-after-write": (503, "ServerTimeout", "The request timed out. Please retry later."),
    "quota": (
        409,
        "ContainerGroupQuotaReached",
        "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'ConfidentialCores' "
        "exceeded in region 'westeurope'. Limit: '10', Usage: '10' Requested: '1'.",
    ),
    "image-inaccessible": (
        400,
        "InaccessibleImage",
        "The image '{image}' in container group '{group}' is not accessible. "
        "Please check the image and registry credential.",
    ),
    "registry-error": (
        409,
        "RegistryErrorResponse",
        "An error response is received from the docker registry 'index.docker.io'. Please retry later.",
    ),
}
AFTER_WRITE = "unavailable-after-write"

FAILURES: Mapping[str, tuple[str, str]] = {
    "capacity": (
        "InsufficientCapacity.",
        "The requested resource is not available in the location '{location}' at this moment. Please retry with a "
        "different resource request or in another location. Resource requested: '{cpu}' CPU '{memory}' GB memory "
        "'Linux' OS",
    ),
    "mount-failure": ("FailedMount", "Failed to mount a volume of container group '{group}'."),
}
"""Name of the event and message of the operation."""


@dataclass
class Fault:
    """One scripted fault.

    Attributes:
        kind: A key of `REFUSALS` or `FAILURES`.
        method: The HTTP method that meets it.
        group: Pattern (fnmatch) for the group's name.
        times: How many requests meet it.
        retry_after: Retry-After in seconds, for a refusal.
        recover_after: Seconds after which a failed group starts after all.
    """

    kind: str
    method: str = "PUT"
    group: str = "*"
    times: int = 1
    retry_after: float | None = None
    recover_after: float | None = None

    def refusal(self, **words: object) -> ServiceError:
        """Return the answer of a refusal."""
        status, code, text = REFUSALS[self.kind]
        headers = {"Retry-After": f"{self.retry_after:g}"} if self.retry_after else {}
        return ServiceError(status, code, text.format(**words), headers=headers)


class Faults:
    """The faults that are still to come, in the order in which they were scripted."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def script(self, body: Mapping[str, Any]) -> None:
        """Replace all faults by those of a request body.

        Raises:
            ServiceError: 400 for an unknown kind or field.
        """
        entries = body.get("faults")
        if not isinstance(entries, list):
            raise ServiceError(400, "BadParameter", 'The body has to be {"faults": [...]}.')
        self.pending = [_fault(entry) for entry in entries]

    def take(self, kinds: Sequence[str], method: str, group: str) -> Fault | None:
        """Use up one fault of these kinds for a request, if there is one."""
        for fault in self.pending:
            if fault.kind in kinds and fault.method == method and fnmatch.fnmatchcase(group, fault.group):
                fault.times -= 1
                if fault.times <= 0:
                    self.pending.remove(fault)
                return fault
        return None

    def body(self) -> dict[str, Any]:
        """Return the faults that are still to come."""
        return {"faults": [{wire: getattr(fault, name) for wire, name in _FIELDS.items()} for fault in self.pending]}


_FIELDS = {
    "kind": "kind",
    "method": "method",
    "group": "group",
    "times": "times",
    "retryAfter": "retry_after",
    "recoverAfter": "recover_after",
}


def _fault(entry: object) -> Fault:
    if not isinstance(entry, Mapping) or set(entry) - set(_FIELDS):
        raise ServiceError(400, "BadParameter", f"A fault has the fields {', '.join(_FIELDS)}.")
    if entry.get("kind") not in (*REFUSALS, *FAILURES):
        raise ServiceError(400, "BadParameter", f"kind has to be one of {', '.join((*REFUSALS, *FAILURES))}.")
    return Fault(**{_FIELDS[name]: value for name, value in entry.items()})
