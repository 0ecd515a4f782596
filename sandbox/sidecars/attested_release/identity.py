"""Tokens of the group's managed identity, from the instance metadata service (IMDS)."""

import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from attested_release.errors import ReleaseError, Unreachable
from attested_release.http import request

METADATA = "http://169.254.169.254/metadata"
API_VERSION = "2018-02-01"
PAUSES = (1.0, 4.0)
"""Seconds between the three tries, as in the real sidecars."""

VAULT_AUDIENCE = "https://vault.azure.net"
MANAGED_HSM_AUDIENCE = "https://managedhsm.azure.net"


@dataclass(frozen=True)
class Identity:
    """The managed identity.

    Attributes:
        client_id: Which one, if the group has several.
        metadata: URL of the metadata service.
        sleep: Waits between tries.
    """

    client_id: str = ""
    metadata: str = METADATA
    sleep: Callable[[float], None] = time.sleep

    def token(self, resource: str) -> str:
        """Return an access token.

        Args:
            resource: URL of the service that it is for.

        Raises:
            ReleaseError: The group has no such identity.
            Unreachable: The metadata service does not answer.
        """
        query = {"api-version": API_VERSION, "resource": resource}
        if self.client_id:
            query["client_id"] = self.client_id
        url = f"{self.metadata}/identity/oauth2/token?{urllib.parse.urlencode(query)}"
        token = self._ask(url).get("access_token")
        if not isinstance(token, str) or not token:
            raise ReleaseError(f"the metadata service gave no access token for {resource}")
        return token

    def _ask(self, url: str) -> dict[str, object]:
        subject = "the metadata service"
        for pause in PAUSES:
            try:
                return request(subject, "GET", url, headers={"Metadata": "true"}).json(subject)
            except Unreachable:
                self.sleep(pause)
        return request(subject, "GET", url, headers={"Metadata": "true"}).json(subject)


def vault_audience(vault: str) -> str:
    """Return what a token for this vault has to be for; the host name tells a managed HSM from a vault."""
    return MANAGED_HSM_AUDIENCE if "managedhsm" in vault else VAULT_AUDIENCE
