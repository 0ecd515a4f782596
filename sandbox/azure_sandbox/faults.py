"""Faults on purpose: one table that each service of the sandbox asks before it answers.

A fault is a service, a kind of `KINDS`, and an end: a number of requests that meet it, or a number of seconds. With a
chance below 1, a seed decides which of the requests meet it. `csum sandbox fault` writes the table, and so do tests by
`POST https://sandbox.management.azure.com/sandbox/faults`.
"""

import asyncio
import fnmatch
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from azure_sandbox.names import CONTROL

ZONES: Mapping[str, str] = {
    "login.microsoftonline.com": "login",
    "management.azure.com": "resource-manager",
    "vault.azure.net": "vault",
    "managedhsm.azure.net": "vault",
    "attest.azure.net": "attestation",
    "azurecr.io": "registry",
    "mcr.microsoft.com": "registry",
    "blob.core.windows.net": "blobs",
    "127.0.0.1": "kubernetes",
}
"""Service by the zone of its hosts. A zone stands for itself and every name below it."""

SERVICES = tuple(dict.fromkeys(ZONES.values()))

ANSWERS: Mapping[str, tuple[int, str, str]] = {
    "throttled": (429, "TooManyRequests", "The number of requests has exceeded the limit. Please retry later."),
    "unavailable": (503, "ServerTimeout", "The request timed out. Please retry later."),
    "broken": (500, "InternalServerError", "An unexpected error occurred while processing the request."),
    "answer-lost": (503, "ServerTimeout", "The request timed out. Please retry later."),
}
"""What is answered instead: status, code and text. All but `answer-lost` come before anything is done."""

REFUSALS: Mapping[str, tuple[int, str, str]] = {
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
"""How a container group is refused at once."""

FAILURES: Mapping[str, tuple[str, str]] = {
    "capacity": (
        "InsufficientCapacity.",
        "The requested resource is not available in the location '{location}' at this moment. Please retry with a "
        "different resource request or in another location. Resource requested: '{cpu}' CPU '{memory}' GB memory "
        "'Linux' OS",
    ),
    "image-pull": ("Failed", "Failed to pull image '{image}': the registry did not answer in time."),
    "mount-failure": ("FailedMount", "Failed to mount a volume of container group '{group}'."),
}
"""How an operation on a container group fails after it was accepted: name of the event and message."""

DOWN, CUT, SLOW, SLOW_OPERATION = "down", "cut", "slow", "slow-operation"

HTTP_SERVICES = tuple(service for service in SERVICES if service != "kubernetes")
"""Those whose requests pass through the stand-ins' process; connections to the API server are only carried."""

OWN_SERVICES = ("login", "resource-manager", "vault", "attestation")
"""Those that it answers itself; what a real program answers is already on its way when it is known."""

KINDS: Mapping[str, tuple[str, Collection[str]]] = {
    "throttled": ("429 with Retry-After", HTTP_SERVICES),
    "unavailable": ("503; nothing was done", HTTP_SERVICES),
    "broken": ("500; nothing was done", HTTP_SERVICES),
    "answer-lost": ("503, but the request was carried out", OWN_SERVICES),
    SLOW: ("the answer, or the connection to the API server, comes DELAY seconds late", SERVICES),
    DOWN: ("open connections are cut, and new ones end without a word", SERVICES),
    CUT: ("open connections are cut once, watches among them; new ones are served", SERVICES),
    "quota": ("a new group is refused: 409 ContainerGroupQuotaReached", ("resource-manager",)),
    "image-inaccessible": ("a group is refused: 400 InaccessibleImage", ("resource-manager",)),
    "registry-error": ("a group is refused: 409 RegistryErrorResponse", ("resource-manager",)),
    "capacity": ("a group is accepted, and fails with an InsufficientCapacity. event", ("resource-manager",)),
    "image-pull": ("a group is accepted, and fails as its image cannot be pulled", ("resource-manager",)),
    "mount-failure": ("a group is accepted, and fails with a FailedMount event", ("resource-manager",)),
    SLOW_OPERATION: ("what is done to a group takes DELAY seconds longer", ("resource-manager",)),
}
"""What happens, and which services it can happen to."""


@dataclass
class Fault:
    """One fault that is still to come.

    Attributes:
        service: One of `SERVICES`.
        kind: A key of `KINDS`.
        times: How many requests meet it; without an end, once.
        seconds: For how long requests meet it.
        chance: The share of the requests that meet it.
        seed: Decides which ones.
        method: Pattern (fnmatch) for the HTTP method.
        path: Pattern for the path, in any case; of a container group, its resource id.
        retry_after: Retry-After in seconds.
        delay: Seconds, of what is slow.
        recover_after: Seconds after which a failed group starts after all, as the service's do.
        began: By the clock of the table.
    """

    service: str
    kind: str
    times: int | None = None
    seconds: float | None = None
    chance: float = 1.0
    seed: int = 0
    method: str = "*"
    path: str = "*"
    retry_after: float = 1.0
    delay: float = 5.0
    recover_after: float | None = None
    began: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Refuse what cannot happen.

        Raises:
            ValueError: Says what can.
        """
        if self.service not in SERVICES:
            raise ValueError(f"service has to be one of {', '.join(SERVICES)}.")
        possible = [kind for kind, (_, services) in KINDS.items() if self.service in services]
        if self.kind not in possible:
            raise ValueError(f"kind has to be one of {', '.join(possible)} for {self.service}.")
        if self.times is None and self.seconds is None:
            self.times = 1
        self._dice = random.Random(self.seed)  # noqa: S311  (has to come out the same each time)

    def meets(self, method: str, path: str) -> bool:
        """Whether a request meets it, by its patterns and by chance."""
        return (
            fnmatch.fnmatchcase(method.upper(), self.method.upper())
            and fnmatch.fnmatchcase(path.lower(), self.path.lower())
            and self._dice.random() < self.chance
        )


@dataclass
class Faults:
    """The faults that are still to come, in the order in which they were added.

    Attributes:
        clock: Seconds, monotonic.
        met: How many requests have met one, by `SERVICE KIND`.
    """

    clock: Callable[[], float] = time.monotonic
    met: Counter[str] = field(default_factory=Counter)
    _pending: list[Fault] = field(default_factory=list)
    _lines: dict[str, set[asyncio.Task[Any] | None]] = field(default_factory=dict)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add one, given as the fields of a `Fault`.

        Raises:
            ValueError: The service, the kind or a field does not exist; the message says what does.
        """
        known = [one.name for one in fields(Fault) if one.init]
        if unknown := set(entry) - set(known):
            raise ValueError(f"{', '.join(sorted(unknown))}: a fault has {', '.join(known)}.")
        fault = Fault(**entry)
        fault.began = self.clock()
        if fault.kind in (DOWN, CUT):
            for task in filter(None, self._lines.get(fault.service, ())):
                task.cancel()
        if fault.kind == CUT:
            self.met[f"{fault.service} {CUT}"] += 1
        else:
            self._pending.append(fault)

    def clear(self) -> None:
        """Let nothing happen any more."""
        self._pending.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that are still to come."""
        now = self.clock()
        self._pending = [
            fault
            for fault in self._pending
            if (fault.times is None or fault.times > 0) and (fault.seconds is None or now < fault.began + fault.seconds)
        ]
        return self._pending

    def take(self, service: str, kinds: Collection[str], method: str = "", path: str = "") -> Fault | None:
        """Return the fault of these kinds that a request meets, if there is one."""
        for fault in self.pending():
            if fault.service == service and fault.kind in kinds and fault.meets(method, path):
                self.met[f"{service} {fault.kind}"] += 1
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def body(self) -> dict[str, Any]:
        """Return what is still to come, with the seconds that are left of it, and what was met."""
        now, shown = self.clock(), []
        for fault in self.pending():
            left = None if fault.seconds is None else round(fault.began + fault.seconds - now, 1)
            shown.append({name: value for name, value in asdict(fault).items() if name != "began"} | {"seconds": left})
        return {"faults": shown, "met": dict(self.met)}

    @asynccontextmanager
    async def connection(self, host: str) -> AsyncIterator[None]:
        """Carry one connection to a host; it ends where a fault says so.

        Raises:
            ConnectionResetError: The host is down.
        """
        service = service_at(host)
        if self.take(service, [DOWN]):
            raise ConnectionResetError(f"a fault: {service} is down")
        if service not in HTTP_SERVICES and (fault := self.take(service, [SLOW])):
            await asyncio.sleep(fault.delay)
        task, lines = asyncio.current_task(), self._lines.setdefault(service, set())
        lines.add(task)
        try:
            yield
        finally:
            lines.discard(task)


def service_at(host: str) -> str:
    """Return which service a host belongs to; empty for one that no fault can be of."""
    name = host.partition(":")[0].rstrip(".").lower()
    if name == CONTROL:
        return ""
    return next((service for zone, service in ZONES.items() if name == zone or name.endswith(f".{zone}")), "")
