"""Microsoft Azure Attestation over plain HTTPS: its discovery document and signing keys."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from confidential_summarizer.azure.transport import plain_session
from confidential_summarizer.errors import IntegrityError, TransientError, quoted
from confidential_summarizer.hosts import checked_attestation
from confidential_summarizer.release.grammar import authority_url
from confidential_summarizer.replies import Unreadable, read_limited

MAX_BYTES = 1 << 20
"""A discovery document has hundreds of bytes, the keys with their certificates some tens of kilobytes."""


class AttestationService:
    """One attestation service. Use as an async context manager."""

    def __init__(self, host: str) -> None:
        """Prepare the client.

        Raises:
            SpecError: The host is none of Azure's attestation services.
        """
        self.url = authority_url(checked_attestation(host))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = plain_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def signing_keys(self) -> Mapping[str, Any]:
        """Return the JWK set that the service's discovery document names; `evidence.signing_keys` reads it.

        Raises:
            IntegrityError: The discovery document is of another issuer, or sends elsewhere for the keys.
            TransientError: The service cannot be reached.
        """
        discovery = await self._get(f"{self.url}/.well-known/openid-configuration")
        keys_url = str(discovery.get("jwks_uri", ""))
        issuer = str(discovery.get("issuer", self.url)).rstrip("/")
        if issuer != self.url or urlsplit(keys_url)[:2] != urlsplit(self.url)[:2]:
            raise IntegrityError(
                f"{self.url}: the discovery document names issuer {quoted(issuer)} and keys at {quoted(keys_url)}, "
                "which is not the service that was asked."
            )
        return await self._get(keys_url)

    async def _get(self, url: str) -> Mapping[str, Any]:
        if self._session is None:
            raise TransientError(f"{url}: the client is not open.")
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise TransientError(f"{url}: the attestation service answered {response.status}. Try again.")
                document = json.loads(await read_limited(response, MAX_BYTES))
        except Unreadable as error:
            raise IntegrityError(f"{url}: {error}. It is not the attestation service that it should be.") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TransientError(
                f"{url}: the attestation service cannot be reached ({type(error).__name__}). "
                "Check the host name, HTTPS_PROXY and SSL_CERT_FILE."
            ) from error
        if not isinstance(document, dict):
            raise IntegrityError(f"{url}: the attestation service answered with no JSON object.")
        return document
