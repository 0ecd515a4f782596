"""What a phase is given and what it returns: values only."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, Self

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import AttestationTrust, ConditionStatus, ConditionType, ImageTrust, KeyTrust
from confidential_summarizer.api.target import Attempt, Placement
from confidential_summarizer.azure.keys import Vault
from confidential_summarizer.evidence import SigningKey
from confidential_summarizer.kube import KubernetesAPI
from confidential_summarizer.measurement.image import Measure, MeasuredImage
from confidential_summarizer.pages import Answer
from confidential_summarizer.reconcile.grant_cache import Grants
from confidential_summarizer.targets.observation import Observation
from confidential_summarizer.targets.target import Derivation, Plan, Targets

Vaults = Callable[[str], AbstractAsyncContextManager[Vault]]
"""Opens the vault of a host name with the operator's identity."""

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
    """

    kube: KubernetesAPI
    measurer: Callable[[Mapping[str, Any] | None], Measure]
    vaults: Vaults
    targets: Targets
    pages: Pages
    signing_keys: SigningKeys

    @cached_property
    def grants(self) -> Grants:
        """What the cluster admin lends to whom, as the API server knows it."""
        return Grants(self.kube)


@dataclass(frozen=True)
class Context:
    """The world as far as the phases before have found it out."""

    resource: ConfidentialSummarizer
    clients: Clients
    now: datetime
    images: Mapping[str, MeasuredImage] | None = None
    image_trust: Sequence[ImageTrust] = ()
    derivation: Derivation | None = None
    keys: Sequence[KeyTrust] = ()
    pull_secret: Mapping[str, Any] | None = field(default=None, repr=False)
    live: Any = None
    plan: Plan | None = None
    observation: Observation | None = None
    attestation: AttestationTrust | None = None

    @property
    def derived(self) -> Derivation:
        """What the policy phase found out; the phases after it run only if it is done."""
        assert self.derivation is not None  # noqa: S101 - the order of the phases
        return self.derivation

    @property
    def host_data(self) -> str:
        """The hash of the derived policy."""
        return self.derived.policy.host_data

    @property
    def placements(self) -> list[Placement]:
        """Where groups were put, or are about to be."""
        return self.resource.placements if self.plan else self.resource.status.placements

    @property
    def attempts(self) -> Sequence[Attempt]:
        """The tries that the next plan has to know of."""
        return self.plan.attempts if self.plan else self.resource.status.attempts

    def with_(self, **findings: Any) -> Self:
        """Return the context with more found out."""
        return replace(self, **findings)


@dataclass(frozen=True)
class Finding:
    """What a phase says about one condition."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str

    @classmethod
    def true(cls, kind: ConditionType, reason: Reason, message: str) -> Self:
        """Say that the condition holds."""
        return cls(kind, ConditionStatus.TRUE, reason, message)

    @classmethod
    def false(cls, kind: ConditionType, reason: Reason, message: str) -> Self:
        """Say that the condition does not hold."""
        return cls(kind, ConditionStatus.FALSE, reason, message)


@dataclass(frozen=True)
class Outcome:
    """The result of a phase.

    Attributes:
        context: What the next phase is given.
        findings: What is to be said about conditions.
        waits: The phase is not done; the phases after it do not run.
        stalled: Waiting will not help: somebody has to change the resource.
        requeue: Seconds until looking again, where that differs from the usual.
    """

    context: Context
    findings: Sequence[Finding] = ()
    waits: bool = False
    stalled: bool = False
    requeue: float | None = None
