"""Every edge of the world that a reconcile may touch."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from confidential_summarizer.azure.vault import Vault
from confidential_summarizer.evidence import SigningKey
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.measurement.image import Measure
from confidential_summarizer.pages import Answer
from confidential_summarizer.reconcile.grant_cache import Grants
from confidential_summarizer.targets.target import Targets

Vaults = Callable[[str], Vault]
"""Returns the vault of a host name, open with the operator's identity."""

SigningKeys = Callable[[str], Awaitable[tuple[SigningKey, ...]]]
"""Fetches the keys that an attestation service, given by its host name, signs with."""


class Pages(Protocol):
    """The pages inside the groups, asked over the network; everything they say is untrusted."""

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's own status, or None while it does not answer."""

    async def evidence(self, address: str, nonce: str) -> Answer | None:
        """Return fresh evidence bound to the nonce, and who gave it, or None while there is none."""


@dataclass(frozen=True)
class Clients:
    """Every edge of the world that a phase may touch.

    Attributes:
        measurer: Returns what measures with a pull secret, a decoded `.dockerconfigjson`, or anonymously.
        imports: By vault, whose turn it is to import: a name that another resource's key has got meanwhile would get a
            second version, with another release policy.
    """

    kube: KubernetesAPI
    measurer: Callable[[Mapping[str, Any] | None], Measure]
    vaults: Vaults
    targets: Targets
    pages: Pages
    signing_keys: SigningKeys
    imports: Mapping[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @cached_property
    def grants(self) -> Grants:
        """What the cluster admin lends to whom, as the API server knows it."""
        return Grants(self.kube)
