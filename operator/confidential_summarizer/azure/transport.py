"""How every Azure client of ours reaches the network.

Proxy: HTTPS_PROXY and NO_PROXY, see `proxies`; sessions for a few calls leave it to aiohttp's `trust_env`.
Certificates: aiohttp's default context reads SSL_CERT_FILE; stated here because the product depends on it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport

from confidential_summarizer.proxies import proxy_to
from confidential_summarizer.replies import PLAIN

Observer = Callable[[str, int | None], None]
"""Told each answer: the service, and its HTTP status (None: it could not be reached)."""

_observers: list[Observer] = []

SERVICES = {
    "vault": "key vault",
    "managedhsm": "managed hsm",
    "management": "resource manager",
    "blob": "blob storage",
    "login": "entra",
}
"""What a host name says about the service behind it, in any cloud: one of its labels, and what metrics call it."""


def observe(observer: Observer) -> None:
    """Let somebody count every answer of a service of Azure."""
    _observers.append(observer)


def service_of(host: str) -> str:
    """Return the service behind a host name."""
    parts = host.split(".")
    return next((name for part, name in SERVICES.items() if part in parts), "other")


class ObservedTransport(AioHttpTransport):  # type: ignore[misc]  # azure.core loads it by name, untyped
    """The SDK's transport, which tells the observers of each answer."""

    def __init__(self) -> None:
        super().__init__(use_env_settings=False)
        self._proxy_to = cache(proxy_to)  # an SDK client asks one host, and one or two to sign in

    async def send(self, request: Any, **config: Any) -> Any:
        """Send a request and return the answer."""
        parts = urlsplit(request.url)
        service = service_of(parts.hostname or "")
        try:
            proxy = self._proxy_to(parts.scheme, parts.hostname or "")
            response = await super().send(request, proxy=proxy, **config)
        except AzureError:
            self._tell(service, None)
            raise
        self._tell(service, response.status_code)
        return response

    @staticmethod
    def _tell(service: str, status: int | None) -> None:
        for observer in _observers:
            observer(service, status)


def new_transport() -> AioHttpTransport:
    """Return the transport of one SDK client, which closes it."""
    return ObservedTransport()


def retry_options(retries: int) -> dict[str, Any]:
    """Return an SDK client's options about repeating calls.

    Args:
        retries: How often the SDK repeats a failed call by itself. 0 for the operator, whose own queue repeats and
            must see throttling; a few for a person's command line.
    """
    # A wrong host name or certificate authority stays wrong: one more try is enough to ride out a lost packet.
    connect = min(retries, 1)
    return {"retry_total": retries, "retry_status": retries, "retry_connect": connect, "retry_read": retries}


def client_options(retries: int) -> dict[str, Any]:
    """Return the options that every SDK client of ours is made with; see `retry_options`."""
    return {"transport": new_transport(), **retry_options(retries)}


def plain_session() -> aiohttp.ClientSession:
    """Return a session for services without an SDK, under the same proxy and certificate rules; nothing inflates."""
    timeout = aiohttp.ClientTimeout(total=60)
    return aiohttp.ClientSession(trust_env=True, timeout=timeout, headers=PLAIN, auto_decompress=False)
