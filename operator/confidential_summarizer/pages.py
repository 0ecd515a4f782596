"""The pages inside the groups, asked over the network.

What they say decides nothing but what people are told; only evidence is believed, after it was checked.
"""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from confidential_summarizer.errors import TransientError
from confidential_summarizer.replies import PLAIN, Unreadable, read_limited

TIMEOUT = aiohttp.ClientTimeout(total=10)
"""Seconds; a page that needs longer is asked again at the next reconcile."""
MAX_BYTES = 1 << 20
"""An answer beyond this is not read: the group is not trusted with the caller's memory."""


class PageClient:
    """Asks pages for their status and evidence, without any credential. Use as an async context manager."""

    def __init__(self, *, proxy: bool = False) -> None:
        """Prepare the client.

        Args:
            proxy: Whether HTTPS_PROXY and its relatives count: not for the operator, whose pages are inside the
                virtual network.
        """
        self._proxy = proxy

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT, trust_env=self._proxy, headers=PLAIN, auto_decompress=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's status, or None while it does not answer with one."""
        try:
            return await self._get(f"http://{address}/api/status", {})
        except TransientError:
            return None

    async def evidence(self, address: str, nonce: str) -> Mapping[str, Any] | None:
        """Return evidence bound to a fresh nonce (base64url), or None while there is none."""
        try:
            return await self.evidence_from(f"http://{address}", nonce)
        except TransientError:
            return None

    async def evidence_from(self, url: str, nonce: str) -> Mapping[str, Any]:
        """Return evidence of the page at a URL, bound to a fresh nonce (base64url).

        Raises:
            TransientError: The page gave none; the message says why.
        """
        return await self._get(f"{url}/api/evidence", {"nonce": nonce})

    async def _get(self, url: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            async with self._session.get(url, params=query, allow_redirects=False) as response:
                if response.status != 200:
                    raise TransientError(f"{url}: the page answered {response.status}. Is the group still starting?")
                body = await read_limited(response, MAX_BYTES)
        except Unreadable as error:
            raise TransientError(f"{url}: {error}. Is it a summarizer's page?") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TransientError(f"{url}: the page cannot be reached ({type(error).__name__}).") from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise TransientError(f"{url}: the page's answer is no JSON object. Is it a summarizer's page?")
        return document
