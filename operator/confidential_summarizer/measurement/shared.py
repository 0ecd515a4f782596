"""One measurer for all resources of an operator, which shares nothing that a pull secret opened."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.measurement.cache import LayerCache
from confidential_summarizer.measurement.image import Measure, MeasuredImage, Measurer
from confidential_summarizer.registry import (
    Anonymous,
    ChainedCredentials,
    CredentialSource,
    ImageReference,
    RegistryClient,
    pull_secret,
)

_AT_ONCE = 2
"""Layers: each may take as much memory as measurement/limits.py says, and the operator's pod has room for two."""
_REMEMBERED = 32 << 20
"""Characters of all images that are remembered, at some thousands an image. The oldest is forgotten first, so that
neither rotated pull secrets nor images with a megabyte of variables fill the memory."""


class SharedMeasurer:
    """Measures images with the pull secret of whoever asks.

    A reference with a digest is asked of the registry once while it is remembered, so a settled resource costs no
    request. Nothing measured with one pull secret is given to a resource with another.
    """

    def __init__(self, cache: LayerCache, default: CredentialSource | None = None) -> None:
        """Prepare it.

        Args:
            cache: Keeps what was measured.
            default: Knows the credential of a registry where there is no pull secret for it.
        """
        self._default = default or Anonymous()
        self._measurer = Measurer(cache, at_once=_AT_ONCE)
        self._known: OrderedDict[tuple[str, str], MeasuredImage] = OrderedDict()
        self._size = 0

    def with_pull_secret(self, secret: Mapping[str, Any] | None) -> Measure:
        """Return what measures with a decoded `.dockerconfigjson`, or with the default credentials."""
        credentials = ChainedCredentials([pull_secret(secret)]) if secret else self._default
        identity = hashlib.sha256(json.dumps(secret, sort_keys=True).encode()).hexdigest()

        async def measure(reference: str) -> MeasuredImage:
            known = self._known.get((identity, reference))
            if known is not None:
                return known
            async with RegistryClient(credentials) as client:
                measured = await self._measurer.measure(client, reference)
            if ImageReference.parse(reference).digest is not None:
                self._remember(identity, reference, measured)
            self._remember(identity, measured.image.pinned, measured)
            return measured

        return measure

    def _remember(self, identity: str, reference: str, measured: MeasuredImage) -> None:
        if (identity, reference) not in self._known:
            self._known[identity, reference] = measured
            self._size += _size(measured)
        while self._size > _REMEMBERED:
            self._size -= _size(self._known.popitem(last=False)[1])


def _size(measured: MeasuredImage) -> int:
    return len(repr(measured))
