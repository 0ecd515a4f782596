"""What every target does: render, read once, plan, execute, observe from the same reading, remove.

One pass of a reconcile calls them in that order. Rendering and `plan` are pure; `read` asks, `execute` and `remove`
write. Nothing waits in place: what takes time is said in the plan (`waits`) and looked at again in a later pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.target import Attempt, Placement, TargetKind
from confidential_summarizer.blueprint import Blueprint
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.targets.observation import Observation

Manifest = Mapping[str, Any]
"""What is sent for a group: a Deployment, or the body of a container group; JSON."""


@dataclass(frozen=True)
class Derivation:
    """Everything that follows from a resource and its images.

    Attributes:
        manifest: What is applied for the target, policy included.
        policy: The policy of the container group.
        images: The measured image of each container, by container name.
    """

    manifest: Manifest
    policy: Policy
    images: Mapping[str, MeasuredImage]


@dataclass(frozen=True)
class Desired:
    """What is wanted.

    Attributes:
        pull_secret: The decoded `.dockerconfigjson` that `registryCredentials.secretRef` names. It goes to the target
            and nowhere else: into no policy, hash, tag or status.
    """

    resource: ConfidentialSummarizer
    derivation: Derivation
    pull_secret: Mapping[str, Any] | None = None


class Step(Protocol):
    """One write. Each target has its own; `str` says in a few words what it does to what."""


@dataclass(frozen=True)
class Plan:
    """What has to be done next, as a value.

    Attributes:
        steps: The writes, in their order. With `driftPolicy: Report` none of them undoes what somebody else did.
        drift: What somebody else changed in what we last sent, as paths; what the spec or a new operator changes is
            none. With `driftPolicy: Correct` the steps put it back.
        waits: What has to happen before the plan can go on, for people; empty: nothing.
        wait_seconds: When to look again at the latest, where the target knows better than the caller.
        attempts: What `status.attempts` has to say from now on. Written before the plan is executed, as
            `status.placements` is, so that neither a refusal nor a crash shortens a pause.
    """

    steps: Sequence[Step] = ()
    drift: Sequence[str] = ()
    waits: str = ""
    wait_seconds: float | None = None
    attempts: Sequence[Attempt] = ()


@dataclass(frozen=True)
class Removal:
    """What is left of a resource's groups after a try to remove them.

    Attributes:
        left: The groups that still exist; none: all are gone, or let go.
        cause: Why they are still there, for people.
    """

    left: Sequence[str] = ()
    cause: str = ""


class Render(Protocol):
    """Makes what is sent for a group; the same on any machine, any time."""

    def __call__(
        self,
        resource: ConfidentialSummarizer,
        blueprint: Blueprint,
        images: Mapping[str, MeasuredImage],
        settings: PolicySettings,
    ) -> tuple[Manifest, Policy]:
        """Return what will be sent, and the policy that it carries. Pure.

        Args:
            resource: What the cluster admin wants.
            blueprint: The container group that follows from it.
            images: The measured images by reference.
            settings: How much the policy lets the host see.

        Raises:
            SpecError: The resource asks for what the target does not have.
            PolicyError: No policy can be made.
        """


Live = TypeVar("Live")


class Target(Protocol[Live]):
    """Where groups run. `Live` is what one reading finds there, a value of the target's own."""

    async def read(self, resource: ConfidentialSummarizer, derivation: Derivation | None = None) -> Live:
        """Read everything that the target holds for a resource, once.

        Args:
            resource: Whose groups.
            derivation: What will be planned for, if that is known already. Without it there is enough to observe.
        """

    def plan(self, desired: Desired, live: Live, now: datetime) -> Plan:
        """Return what has to be done next. Pure.

        Raises:
            NameTaken: Somebody else's object holds a name that is needed.
        """

    async def execute(self, plan: Plan) -> None:
        """Take the steps in their order; the first refusal ends it, and the next pass plans anew."""

    async def observe(self, resource: ConfidentialSummarizer, live: Live, host_data: str) -> Observation:
        """Return the groups of a reading; pages are asked only where readiness is not known otherwise.

        Args:
            resource: Whose groups.
            live: The reading.
            host_data: The policy hash that groups are wanted with now.
        """

    async def remove(self, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool) -> Removal:
        """Start removing the groups of a resource from every place, or look how far that has come.

        Args:
            metadata: Whose groups; no spec is needed.
            placements: Where to look: those of this target's kind, others are left out.
            orphan: Leave the groups running and take our marks off them (`deletionPolicy: Retain`).
        """


Targets = Mapping[TargetKind, Target[Any]]
"""The targets with their edges, by the kind that a resource names."""


async def remove_everywhere(
    targets: Targets, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool
) -> Removal:
    """Remove a resource's groups from every target that they were put on; see `Target.remove`."""
    removals = [
        await target.remove(metadata, here, orphan=orphan)
        for kind, target in targets.items()
        if (here := [placement for placement in placements if placement.kind is kind])
    ]
    return Removal(
        tuple(name for removal in removals for name in removal.left),
        "; ".join(removal.cause for removal in removals if removal.cause),
    )
