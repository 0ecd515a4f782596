"""Settings of the operator process, from the environment; the chart sets them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from confidential_summarizer.errors import SpecError

PREFIX = "CSUM_"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class LogFormat(StrEnum):
    """How a line of the log is written."""

    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True)
class Settings:
    """How the operator runs; each attribute is the environment variable CSUM_<NAME>."""

    namespaces: str = ""
    """Comma-separated namespaces to watch; empty: all."""
    cache: str = ""
    """Directory of measured layers that survives a restart; empty: in memory only."""
    cloud: str = "AzureCloud"
    """Azure's cloud, as `az cloud list` names it: AzureCloud, AzureUSGovernment or AzureChinaCloud."""
    lease_namespace: str = ""
    """Namespace of the Lease by which one of several operators works and the others stand by; empty: no lease."""
    grace_seconds: int = 900
    """How long a resource stays Ready while a service that confirms it cannot be asked."""
    key_patience_seconds: int = 600
    """How long a deletion waits for a key whose vault does not let it be disabled or deleted; then the key is left."""
    log_format: str = LogFormat.CONSOLE
    """`console` for people, `json` for machines."""
    log_level: str = "INFO"
    """The least level of the operator's own lines: DEBUG, INFO, WARNING or ERROR."""
    http_port: int = 8080
    """Port of /healthz, /readyz and /metrics."""
    http_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics; the chart sets all of the pod's."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SpecError: A variable has no usable value.
        """
        known = {f.name: f.type for f in fields(cls)}
        values: dict[str, str | int] = {}
        for variable, text in environment.items():
            name = variable.removeprefix(PREFIX).lower()
            if not variable.startswith(PREFIX) or name not in known:
                continue
            try:
                values[name] = int(text) if known[name] is int else text
            except ValueError:
                raise SpecError(f"{variable} must be a number, not {text!r}") from None
        _check(values, "log_format", [one.value for one in LogFormat])
        _check(values, "log_level", LEVELS)
        return cls(**values)  # type: ignore[arg-type]


def _check(values: Mapping[str, str | int], name: str, allowed: Sequence[str]) -> None:
    if name in values and values[name] not in allowed:
        raise SpecError(f"{PREFIX}{name.upper()} must be one of {', '.join(allowed)}, not {values[name]!r}")
