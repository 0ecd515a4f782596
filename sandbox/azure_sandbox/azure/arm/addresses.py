"""The loopback addresses that stand for the IP addresses of container groups: 127.77.0.1 to 127.77.255.254."""

import hashlib
from collections.abc import Collection

from azure_sandbox.azure.errors import ServiceError

HOSTS = 254
SPACE = 256 * HOSTS


def free_address(name: str, taken: Collection[str]) -> str:
    """Return the address of a new group: derived from its name, or the next one that is free.

    Raises:
        ServiceError: 409 when all are taken.
    """
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for offset in range(SPACE):
        high, low = divmod((start + offset) % SPACE, HOSTS)
        address = f"127.77.{high}.{low + 1}"
        if address not in taken:
            return address
    raise ServiceError(409, "AddressSpaceExhausted", "Every address of the sandbox is taken: delete some groups.")
