"""Measured images for the operator: each digest is measured once, each pull secret has its own connection."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from confidential_summarizer.policy import LayerCache, MeasuredImage, measure
from confidential_summarizer.registry import ImageReference, RegistryClient
from confidential_summarizer.registry import pull_secret as credentials_of


class MeasuredImages:
    """Resolves and measures images. Use as an async context manager.

    A reference with a digest is asked of the registry once in the life of the process, so a settled resource costs no
    request. Nothing measured with one pull secret is given to a resource with another.
    """

    def __init__(self, cache: LayerCache) -> None:
        self._cache = cache
        self._clients: dict[str, RegistryClient] = {}
        self._measured: dict[tuple[str, str], MeasuredImage] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def __call__(self, reference: str, pull_secret: Mapping[str, Any] | None) -> MeasuredImage:
        """Measure one image; see `reconcile.context.Measure`."""
        identity = hashlib.sha256(json.dumps(pull_secret, sort_keys=True).encode()).hexdigest()
        known = self._measured.get((identity, reference))
        if known is not None:
            return known
        measured = await measure(await self._client(identity, pull_secret), reference, self._cache)
        if ImageReference.parse(reference).digest is not None:
            self._measured[(identity, reference)] = measured
        self._measured[(identity, measured.image.pinned)] = measured
        return measured

    async def _client(self, identity: str, secret: Mapping[str, Any] | None) -> RegistryClient:
        if identity not in self._clients:
            client = RegistryClient(credentials_of(secret) if secret else None)
            self._clients[identity] = await self._stack.enter_async_context(client)
        return self._clients[identity]
