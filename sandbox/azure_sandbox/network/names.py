"""Which host names exist in the sandbox, and which local service answers for each."""

import ipaddress
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


GROUPS = ipaddress.ip_network("127.77.0.0/16")
"""The addresses of container groups (azure/arm/addresses.py), which are this machine's own."""


def is_group(host: str) -> bool:
    """Tell whether a host is the address of a container group."""
    try:
        return ipaddress.ip_address(host) in GROUPS
    except ValueError:
        return False


def service_of(host: str) -> str | None:
    """Return the service that answers for a host name, or None for a name that the sandbox does not have."""
    name = host.rstrip(".").lower()
    for zone, service in ZONES.items():
        if name == zone or name.endswith(f".{zone}"):
            return service
    return None
