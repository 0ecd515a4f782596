"""The groups of a resource, wherever its target puts them."""

from dataclasses import dataclass

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.targets.arm_groups import ArmGroups
from confidential_summarizer.targets.observation import Drift, Observation
from confidential_summarizer.targets.pods import PodGroups
from confidential_summarizer.targets.target import Derivation


@dataclass(frozen=True)
class TargetGroups:
    """Hands each call to the target that the resource has."""

    pods: PodGroups
    container_groups: ArmGroups

    async def apply(self, resource: ConfidentialSummarizer, derivation: Derivation) -> None:
        """Create or update the groups."""
        await self._of(resource).apply(resource, derivation)

    async def drift(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Drift | None:
        """Return what differs from what is deployed; empty: nothing, None: nothing is deployed."""
        return await self._of(resource).drift(resource, derivation)

    async def observe(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Observation:
        """Return the groups as they are now."""
        return await self._of(resource).observe(resource, derivation)

    async def remove(self, resource: ConfidentialSummarizer) -> bool:
        """Start removing the groups; True once none is left."""
        return await self._of(resource).remove(resource)

    def _of(self, resource: ConfidentialSummarizer) -> PodGroups | ArmGroups:
        return self.pods if resource.spec.target.virtual_node is not None else self.container_groups
