"""The spec of a ConfidentialSummarizer: what a cluster admin writes, and what can never work.

Every description, here and in the modules of the parts, is what `kubectl explain` shows.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field

from confidential_summarizer.api.access import Access, Exposure, Identity, RegistryCredentials
from confidential_summarizer.api.batch import Batch, ShardBy
from confidential_summarizer.api.file_systems import FileSystem, Role
from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.summarizer import Resources, SummarizerSettings
from confidential_summarizer.api.target import Target
from confidential_summarizer.api.values import Image

_HAS_PUBLIC_ADDRESS = (
    "(has(self.target.containerGroup) && "
    "(!has(self.target.containerGroup.subnetIDs) || size(self.target.containerGroup.subnetIDs) == 0))"
)
_SAYS_PUBLIC = "(has(self.access) && self.access.exposure == 'Public')"


class DeletionPolicy(StrEnum):
    """What becomes of the container group when the resource is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class DriftPolicy(StrEnum):
    """What the operator does when somebody changed what it deployed."""

    CORRECT = "Correct"
    REPORT = "Report"


class Profile(StrEnum):
    """How much of the running group the host may look into."""

    RESTRICTED = "Restricted"
    DEBUG = "Debug"


class PolicySpec(Ruled):
    """Choices about the confidential-computing policy."""

    profile: Profile = Field(
        default=Profile.RESTRICTED,
        description="Restricted: no exec, no logs, nothing to look into. Debug: exec of a shell and container output "
        "are allowed; never for real text.",
    )
    contract: Literal["0.10", "0.11", "0.12"] = Field(
        default="0.11",
        description="Version of the policy text: 0.11 (current), 0.10 (older regions), or 0.12 (announced; guests that "
        "do not know it yet refuse everything).",
    )


class Sidecars(Ruled):
    """Microsoft's containers beside the summarizer: part of the policy, so part of what the data owner derives."""

    encfs: Image = Field(
        default="mcr.microsoft.com/aci/encfs:2.12",
        description="Image that releases the keys and opens the file systems, best by digest; a mirror of it works, "
        "too. A tag is resolved once and pinned in status.trust.images, until another reference stands here.",
    )


class Spec(Ruled):
    """What the cluster admin wants to run."""

    image: Image = Field(
        description="Image of the summarizer, best by digest. A tag is resolved once and pinned in "
        "status.trust.images, until another reference stands here or the annotation resolve asks."
    )
    sidecars: Sidecars = Field(
        default_factory=Sidecars,
        description="Images of the containers beside the summarizer.",
        # Stored when the resource is applied, so that another release's default never changes what was approved.
        json_schema_extra={"default": {}},
    )
    replicas: int = Field(default=1, ge=0, le=50, description="Number of container groups.")
    summarizer: SummarizerSettings = Field(
        default_factory=SummarizerSettings, description="How the summaries are made."
    )
    resources: Resources = Field(default_factory=Resources, description="Size of the summarizer container.")
    file_systems: list[FileSystem] = Field(
        min_length=1,
        max_length=8,
        description="Sealed file systems, each with its own key. At least one has role Documents; several may be of "
        "several owners, none of whom can read what the others sealed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    batch: Batch | None = Field(
        default=None,
        description="Summarize every document once and end, instead of serving a page: an Indexed Job on virtual "
        "nodes, container groups that end through Resource Manager. Needs output of all "
        "documents.",
    )
    identity: Identity = Field(description="The managed identity that the group uses for the vault and the blobs.")
    registry_credentials: RegistryCredentials | None = Field(
        default=None, description="How images are pulled from a private registry."
    )
    access: Access = Field(default_factory=Access, description="Who may read the page.")
    policy: PolicySpec = Field(
        default_factory=PolicySpec, description="Choices about the confidential-computing policy."
    )
    target: Target = Field(description="Where the group runs: exactly one of virtualNode and containerGroup.")
    drift_policy: DriftPolicy = Field(
        default=DriftPolicy.CORRECT,
        description="Correct: put back what somebody changed in the deployed objects. Report: only say so.",
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.DELETE,
        description="Delete: remove the container groups with this resource. Retain: leave them running.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse a summarizer without text, and models that would shadow each other."""
        return (
            Rule(
                "at least one file system must have role Documents: the text to summarize",
                "self.fileSystems.exists(f, f.role == 'Documents')",
                lambda self: bool(self.documents),
            ),
            Rule(
                "at most one file system may have role Models",
                "self.fileSystems.filter(f, f.role == 'Models').size() <= 1",
                lambda self: len(self.file_systems_with(Role.MODELS)) <= 1,
            ),
            Rule(
                "file systems with role Documents need the same key.attestation: one service vouches for the page",
                "self.fileSystems.all(f, f.role != 'Documents' || self.fileSystems.all(g, g.role != 'Documents' || "
                "g.key.attestation == f.key.attestation))",
                lambda self: len({f.key.attestation for f in self.documents}) <= 1,
            ),
            Rule(
                "file systems with role Documents need different keys: what a key opens a second time could be sent to "
                "somebody else",
                "self.fileSystems.all(f, f.role != 'Documents' || self.fileSystems.filter(g, g.role == 'Documents' && "
                "g.key.name.lowerAscii() == f.key.name.lowerAscii() && "
                "g.key.vault.lowerAscii() == f.key.vault.lowerAscii()).size() == 1)",
                lambda self: _differ([f"{f.key.vault}/{f.key.name}".lower() for f in self.documents]),
            ),
            Rule(
                "file systems need different output.blobPrefix: a folder of results belongs to one owner",
                "self.fileSystems.all(f, !has(f.output) || self.fileSystems.filter(g, has(g.output) && "
                "g.output.blobPrefix == f.output.blobPrefix).size() == 1)",
                lambda self: _differ([f.output.blob_prefix for f in self.documents if f.output is not None]),
            ),
            Rule(
                "a batch has no page: set output of each file system with role Documents, where its results go",
                "!has(self.batch) || self.fileSystems.all(f, f.role != 'Documents' || has(f.output))",
                lambda self: self.batch is None or all(one.output is not None for one in self.documents),
            ),
            Rule(
                "a batch has shards instead of replicas: remove replicas, and set batch.parallelism",
                "!has(self.batch) || self.replicas == 1",
                lambda self: self.batch is None or self.replicas == 1,
            ),
            Rule(
                "with batch.shardBy FileSystem each file system with role Documents is a shard: set batch.shards to "
                "their number, or remove shardBy",
                "!has(self.batch) || self.batch.shardBy != 'FileSystem' || "
                "self.batch.shards == self.fileSystems.filter(f, f.role == 'Documents').size()",
                lambda self: (
                    self.batch is None
                    or self.batch.shard_by is not ShardBy.FILE_SYSTEM
                    or self.batch.shards == len(self.documents)
                ),
            ),
            Rule.immutable(
                "has(self.batch) == has(oldSelf.batch)",
                "a server cannot become a batch, nor a batch a server: create a second ConfidentialSummarizer",
            ),
            Rule(
                "a virtual node pulls with its own identity: give that one the role AcrPull and remove "
                "registryCredentials.identity, or use registryCredentials.secretRef",
                "!has(self.target.virtualNode) || !has(self.registryCredentials) || "
                "!has(self.registryCredentials.identity)",
                lambda self: (
                    self.target.virtual_node is None
                    or self.registry_credentials is None
                    or self.registry_credentials.identity is None
                ),
            ),
            Rule(
                "with registryCredentials.identity the group has two identities: set identity.clientID, so that the "
                "sidecars ask as the right one",
                "has(self.identity.clientID) || !has(self.registryCredentials) || "
                "!has(self.registryCredentials.identity) || "
                "self.registryCredentials.identity == self.identity.resourceID",
                lambda self: self.identity.client_id is not None or not _pulls(self),
            ),
            Rule(
                "the names of file systems must differ",
                "self.fileSystems.all(f, self.fileSystems.filter(g, g.name == f.name).size() == 1)",
                lambda self: _differ([f.name for f in self.file_systems]),
            ),
            Rule(
                "a container group without a subnet has a public address: set target.containerGroup.subnetIDs, or "
                "access.exposure Public with access.tokenSHA256",
                f"!{_HAS_PUBLIC_ADDRESS} || {_SAYS_PUBLIC}",
                lambda self: not self.target.has_public_address or self.access.exposure is Exposure.PUBLIC,
            ),
            Rule(
                "access.exposure Public is for a container group without a subnet: in a subnet and on a virtual node "
                "addresses are private",
                f"!{_SAYS_PUBLIC} || {_HAS_PUBLIC_ADDRESS}",
                lambda self: self.access.exposure is not Exposure.PUBLIC or self.target.has_public_address,
            ),
        )

    @property
    def groups(self) -> int:
        """Return how many groups there are to be at most, by whose number their names follow."""
        return self.replicas if self.batch is None else self.batch.shards

    @property
    def documents(self) -> list[FileSystem]:
        """The file systems with the text to summarize, in the order of the spec."""
        return self.file_systems_with(Role.DOCUMENTS)

    @property
    def attestation(self) -> str:
        """Host name of the attestation service that vouches for the page."""
        return self.documents[0].key.attestation

    def file_systems_with(self, role: Role) -> list[FileSystem]:
        """Return the file systems of one role, in the order of the spec."""
        return [f for f in self.file_systems if f.role is role]


def _differ(values: Sequence[str]) -> bool:
    return len(set(values)) == len(values)


def _pulls(spec: Spec) -> bool:
    """Tell whether the group has a second identity, to pull with."""
    credentials = spec.registry_credentials
    return credentials is not None and credentials.identity not in (None, spec.identity.resource_id)
