"""Which host names exist in the sandbox, and which local service answers for each."""

from collections.abc import Mapping

ZONES: Mapping[str, str] = {
    "azurecr.io": "registry",
    "mcr.microsoft.com": "registry",
    "blob.core.windows.net": "azurite",
    "login.microsoftonline.com": "stand_ins",
    "management.azure.com": "stand_ins",
    "vault.azure.net": "stand_ins",
    "managedhsm.azure.net": "stand_ins",
    "attest.azure.net": "stand_ins",
}
"""Zone to service; the services are names of kept ports. A zone stands for itself and every name below it."""


def service_of(host: str) -> str | None:
    """Return the service that answers for a host name, or None for a name that the sandbox does not have."""
    name = host.rstrip(".").lower()
    for zone, service in ZONES.items():
        if name == zone or name.endswith(f".{zone}"):
            return service
    return None
