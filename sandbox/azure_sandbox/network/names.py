"""Which host names exist in the sandbox."""

import ipaddress

from azure_sandbox.names import LOGIN, PUBLIC_REGISTRY, REGISTRY, RESOURCE_MANAGER

ZONES = (
    REGISTRY,
    PUBLIC_REGISTRY,
    LOGIN,
    RESOURCE_MANAGER,
    "blob.core.windows.net",
    "vault.azure.net",
    "managedhsm.azure.net",
    "attest.azure.net",
)
"""A zone stands for itself and every name below it."""

GROUPS = ipaddress.ip_network("127.77.0.0/16")
"""The addresses of container groups (azure/arm/addresses.py), which are this machine's own."""


def is_group(host: str) -> bool:
    """Tell whether a host is the address of a container group."""
    try:
        return ipaddress.ip_address(host) in GROUPS
    except ValueError:
        return False


def exists(host: str) -> bool:
    """Tell whether the sandbox has a host name; the stand-ins answer for all of them."""
    name = host.rstrip(".").lower()
    return any(name == zone or name.endswith(f".{zone}") for zone in ZONES)
