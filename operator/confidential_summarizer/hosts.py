"""What Azure's services are called: a key, a token or a text is never sent to, or believed from, any other host.

The names' ends are in `azure_hosts.json`, by cloud as the Azure CLI calls it. Sources: the CLI's cloud definitions;
the attestation service of the China cloud has no name there. The resource's rules and every command go by these names.
"""

import json
import re
from enum import StrEnum
from functools import cache
from importlib.resources import files

from confidential_summarizer.errors import SpecError


class Service(StrEnum):
    """A service of Azure that a resource or a command names by host."""

    VAULT = "vault"
    MANAGED_HSM = "managedHSM"
    ATTESTATION = "attestation"
    BLOB = "blob"
    REGISTRY = "registry"


_LABELS = {
    Service.VAULT: r"[a-zA-Z][-a-zA-Z0-9]{1,61}",
    Service.MANAGED_HSM: r"[a-zA-Z][-a-zA-Z0-9]{1,61}",
    # NAME.REGION
    Service.ATTESTATION: r"[a-z0-9][-a-z0-9]{0,62}(\.[a-z0-9]{1,32})?",
    # ACCOUNT, or ACCOUNT.zNN in a DNS zone of its own
    Service.BLOB: r"[a-z0-9]{3,24}(\.z[0-9]{1,3})?",
    # NAME, or NAME-HASH where the name is reused in no other tenant
    Service.REGISTRY: r"[a-z0-9]{5,50}(-[a-z0-9]{1,20})?",
}
"""What stands before a service's suffix."""


@cache
def suffixes(service: Service) -> tuple[str, ...]:
    """Return the ends of a service's host names, in every cloud."""
    text = files("confidential_summarizer").joinpath("azure_hosts.json").read_text(encoding="utf-8")
    return tuple(suffix for cloud in json.loads(text).values() for suffix in cloud[service])


def pattern(*services: Service) -> str:
    """Return a regular expression, in the syntax that Python and RE2 share, for the host names of some services.

    It has no anchors.
    """
    names = (f"{_LABELS[service]}\\.({'|'.join(map(re.escape, suffixes(service)))})" for service in services)
    return f"({'|'.join(names)})"


VAULT = pattern(Service.MANAGED_HSM, Service.VAULT)
MANAGED_HSM = pattern(Service.MANAGED_HSM)
ATTESTATION = pattern(Service.ATTESTATION)
CONTAINER = r"[a-z0-9][-a-z0-9]{1,61}[a-z0-9]"
_SIGN = r"[^/?#%\\\x00-\x20\x7f]"
_ENCODED = r"%([013-46-9a-fA-F][0-9a-fA-F]|2[0-46-9a-dA-D]|5[0-9abd-fABD-F])"
"""Any but a dot, a slash of either kind and a percent sign, which only some clients on the way would decode."""
_SEGMENT = rf"({_SIGN}|{_ENCODED})*([^/?#%\\\x00-\x20\x7f.]|{_ENCODED})"
"""What stands between slashes in a blob's name: by Azure's rule without a dot at its end, so that it is no step up."""
BLOB_URL = rf"https://{pattern(Service.BLOB)}/{CONTAINER}/{_SEGMENT}(/{_SEGMENT})*"


def checked_vault(host: str) -> str:
    """Return a vault's host name as it was given.

    Raises:
        SpecError: It is not the name of one of Azure's vaults.
    """
    return _checked(host, VAULT, "vault", "party2.managedhsm.azure.net")


def checked_attestation(host: str) -> str:
    """Return an attestation service's host name as it was given.

    Raises:
        SpecError: It is not the name of one of Azure's attestation services.
    """
    return _checked(host, ATTESTATION, "attestation service", "sharedeus2.eus2.attest.azure.net")


def is_azure_registry(host: str) -> bool:
    """Tell whether a registry is one of Azure's own, which alone may be sent a token of Azure AD."""
    return re.fullmatch(pattern(Service.REGISTRY), host) is not None


def _checked(host: str, expression: str, what: str, example: str) -> str:
    if not re.fullmatch(expression, host):
        raise SpecError(f"{host} is the host name of no Azure {what}. One looks like {example}, without https://.")
    return host
