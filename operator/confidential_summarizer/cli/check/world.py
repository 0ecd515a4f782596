"""Whom `csum check` asks, and how an answer looks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from confidential_summarizer.api.file_systems import FileSystem
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.blobs import BlobState
from confidential_summarizer.azure.role_assignments import Held
from confidential_summarizer.azure.vault import Vault
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.targets.target import Derivation


class Verdict(StrEnum):
    """What came of a question."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Row:
    """One line of the answer: what was looked at, whether it is as it has to be, and what to do."""

    what: str
    verdict: Verdict
    detail: str


class Blob(Protocol):
    """A sealed image in blob storage, as far as it is looked at."""

    async def state(self) -> BlobState | None:
        """Return the blob as it is, or None where there is none."""

    async def head(self, length: int) -> bytes:
        """Return the first bytes."""


class Groups(Protocol):
    """The container groups of a subscription, as far as it is looked whether there is room for more."""

    async def list(self, resource_group: str) -> Sequence[Mapping[str, Any]]:
        """Return the groups of a resource group."""

    async def usages(self, location: str) -> Mapping[str, tuple[float, float]]:
        """Return what of each quota of the region is used, and its limit."""


class Roles(Protocol):
    """What identities may do, as far as Resource Manager tells whoever asks."""

    async def on_container(self, identity: str, account: str, container: str) -> Held:
        """Return what an identity holds on a container of a storage account."""

    async def on_registry(self, identity: str, host: str) -> Held:
        """Return what an identity holds on a registry."""


@dataclass(frozen=True)
class World:
    """Whom is asked.

    Attributes:
        kube: The cluster, with the rights of whoever asks; None where there is none.
        derive: Measures the images and makes the policy, given the hash of the readers' token.
        vault: Opens a vault by its host name.
        blob: Opens the blob of a file system.
        groups: Opens the container groups of a subscription.
        roles: Opens the role assignments of a subscription.
    """

    kube: KubernetesAPI | None
    derive: Callable[[ConfidentialSummarizer, str | None], Awaitable[Derivation]]
    vault: Callable[[str], AbstractAsyncContextManager[Vault]]
    blob: Callable[[FileSystem], AbstractAsyncContextManager[Blob]]
    groups: Callable[[str], AbstractAsyncContextManager[Groups]]
    roles: Callable[[str], AbstractAsyncContextManager[Roles]]
