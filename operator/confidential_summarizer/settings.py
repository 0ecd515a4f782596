"""Settings of the operator process, from the environment; the chart sets them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from confidential_summarizer.errors import SpecError

PREFIX = "CSUM_"


@dataclass(frozen=True)
class Settings:
    """How the operator runs; each attribute is the environment variable CSUM_<NAME>."""

    namespaces: str = ""
    """Comma-separated namespaces to watch; empty: all."""
    cache: str = ""
    """Directory of measured layers that survives a restart; empty: in memory only."""
    cloud: str = "AzureCloud"
    """Azure's cloud, as `az cloud list` names it: AzureCloud, AzureUSGovernment or AzureChinaCloud."""
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
        return cls(**values)  # type: ignore[arg-type]
