"""The pages inside the groups, asked over the network.

What they say decides nothing but what people are told; only evidence is believed, after it was checked.
"""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)
"""Seconds; a page that needs longer is asked again at the next reconcile."""
MAX_BYTES = 1 << 20
"""An answer beyond this is not read: the group is not trusted with the operator's memory."""


class PageClient:
    """Asks pages for their status and evidence. Use as an async context manager."""

    async def __aenter__(self) -> Self:
        # No proxy: pages are inside the virtual network.
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's status, or None while it does not answer with one."""
        return await self._get(f"http://{address}/api/status")

    async def evidence(self, address: str, nonce: str) -> Mapping[str, Any] | None:
        """Return evidence bound to a fresh nonce (base64url), or None while there is none."""
        return await self._get(f"http://{address}/api/evidence?nonce={nonce}")

    async def _get(self, url: str) -> Mapping[str, Any] | None:
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                body = json.loads(await response.content.read(MAX_BYTES))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        return body if isinstance(body, dict) else None
