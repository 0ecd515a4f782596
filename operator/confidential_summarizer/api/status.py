"""The status of a ConfidentialSummarizer: where it stands, why, and what the trust in it rests on.

Conditions follow the Kubernetes API conventions and kstatus: `Ready` sums up, `Reconciling` and `Stalled` are present
only while they are True, and every condition carries the generation it was computed for.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict, Field

from confidential_summarizer.api.rules import Ruled
from confidential_summarizer.api.target import Attempt, Placement


class ConditionType(StrEnum):
    """Every condition that the operator sets, in the order people read them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    IMAGES_RESOLVED = "ImagesResolved"
    POLICY_GENERATED = "PolicyGenerated"
    KEY_RELEASABLE = "KeyReleasable"
    DEPLOYED = "Deployed"
    ATTESTED = "Attested"
    DRIFTED = "Drifted"
    COMPLETE = "Complete"
    FAILED = "Failed"


ASPECTS = (
    ConditionType.IMAGES_RESOLVED,
    ConditionType.POLICY_GENERATED,
    ConditionType.KEY_RELEASABLE,
    ConditionType.DEPLOYED,
    ConditionType.ATTESTED,
)
"""What Ready is made of: the first that is not True is why it is not Ready."""

PRESENT_ONLY_WHILE_TRUE = frozenset(
    {
        ConditionType.RECONCILING,
        ConditionType.STALLED,
        ConditionType.DRIFTED,
        ConditionType.COMPLETE,
        ConditionType.FAILED,
    }
)
"""kstatus reads other values of the first as noise, and Flux removes them; a Job has the last two only in the end."""


class ConditionStatus(StrEnum):
    """The three values of a Kubernetes condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Written(Ruled):
    """Part of a status. A field that another version of the operator wrote is left alone and does no harm."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")


class Condition(Written):
    """One aspect of the current state."""

    type: str = Field(description="What the condition is about.", max_length=316)
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(
        description="Reason of the last transition, one CamelCase word; docs/reference/conditions.md has a part for "
        "each.",
        min_length=1,
        max_length=1024,
    )
    message: str = Field(description="What happened, to which object, and what to do next.", max_length=32768)
    last_transition_time: str = Field(
        description="When status last changed (RFC 3339).", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(description="metadata.generation that the condition was computed for.", ge=0)


class ImageTrust(Written):
    """An image as it was measured."""

    container: str = Field(description="Name of the container in the group.")
    reference: str = Field(description="The image as the spec names it.")
    digest: str = Field(description="Digest of the manifest that the group runs.")
    layers: list[str] = Field(description="dm-verity root hash of each layer, base first (64 hexadecimal digits).")


class KeyTrust(Written):
    """A key and the measurements it is let out to."""

    file_system: str = Field(description="Name of the file system that the key opens.")
    id: str = Field(description="URL of the key in the vault, with its version.")
    admits: list[str] = Field(description="Every host-data that the key's release policy admits.")


class GroupTrust(Written):
    """A container group whose evidence was checked."""

    name: str = Field(description="Name of the pod or of the container group.")
    identity: str = Field(description="What tells this group from a later one of the same name.")
    host_data: str = Field(description="The policy that the evidence was checked for.")
    verified_time: str = Field(
        description="When its evidence was last checked (RFC 3339).", json_schema_extra={"format": "date-time"}
    )


class AttestationTrust(Written):
    """The evidence that was checked."""

    authority: str = Field(description="Attestation service that signed the evidence.")
    verified_time: str = Field(
        description="When the evidence was last checked (RFC 3339).", json_schema_extra={"format": "date-time"}
    )
    claims: dict[str, str] = Field(
        default_factory=dict, description="The claims that were checked, as text.", max_length=16
    )
    groups: list[GroupTrust] = Field(
        default_factory=list, description="The groups that were checked, each by its own evidence.", max_length=100
    )


class Trust(Written):
    """What the trust in the running group rests on; `csum verify` derives all of it again."""

    host_data: str | None = Field(
        default=None,
        description="SHA-256 of the current policy: HOST_DATA of the SEV-SNP report (64 hexadecimal digits).",
    )
    policy_config_map: str | None = Field(default=None, description="ConfigMap with the text of the current policy.")
    images: list[ImageTrust] = Field(default_factory=list, description="The images of the group, as measured.")
    keys: list[KeyTrust] = Field(default_factory=list, description="The keys of the sealed file systems.")
    attestation: AttestationTrust | None = Field(default=None, description="The last evidence that was checked.")


class ShardStatus(Written):
    """What a shard's group said last of its documents. Nobody vouches for it; what is done is proved by the results."""

    index: int = Field(description="Which shard, from 0.")
    documents: int = Field(description="Documents of this shard.")
    done: int = Field(description="Of these, how many have a result.")
    refused: int = Field(description="Results since the group started that say why a document cannot be read.")
    failed: int = Field(description="Documents whose summary could not be made.")


class BatchStatus(Written):
    """How far a batch is. Shards are counted by how their groups ended, documents as the groups themselves say."""

    host_data: str = Field(description="The policy under which this was done.")
    completed_indexes: str = Field(default="", description="Shards that are done, such as 0-3,7.")
    failed_indexes: str = Field(default="", description="Shards that failed more often than spec.batch.backoffLimit.")
    shards: str = Field(description="Shards that are done, of all.")
    documents: str | None = Field(
        default=None,
        description="Documents that have a result, of all; with + where shards "
        "by file system have not told yet how many are theirs.",
    )
    refused: int = Field(default=0, description="Results that say only why a document cannot be read.")
    failed: int = Field(default=0, description="Documents whose summary could not be made; another run tries again.")
    per_minute: float | None = Field(default=None, description="Results a minute of the groups that work now.")
    start_time: str | None = Field(
        default=None,
        description="When it was first seen at work (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    estimated_completion_time: str | None = Field(
        default=None,
        description="When it is done if the rate stays as it is (RFC 3339).",
        json_schema_extra={"format": "date-time"},
    )
    completion_time: str | None = Field(
        default=None, description="When it was over (RFC 3339).", json_schema_extra={"format": "date-time"}
    )
    told: list[ShardStatus] = Field(
        default_factory=list, description="What each shard said last of its documents.", max_length=100
    )


class Status(Written):
    """Where the summarizer stands."""

    observed_generation: int = Field(
        default=-1,
        description="metadata.generation that this status describes; -1 until the operator has seen the resource.",
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready, and what it is made of.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    replicas: int = Field(default=0, description="Container groups that exist.")
    ready_replicas: int = Field(default=0, description="Container groups whose page is ready.")
    selector: str | None = Field(default=None, description="Label selector of the pods, for autoscalers.")
    endpoint: str | None = Field(
        default=None,
        description="URL of one group's page, for readers in the virtual network, where no Service of the cluster "
        "reaches. It stays while other groups come and go with scaling.",
    )
    policy: str | None = Field(default=None, description="First 12 digits of trust.hostData.")
    target: str | None = Field(default=None, description="Kind of the target: VirtualNode or ContainerGroup.")
    unconfirmed_since: str | None = Field(
        default=None,
        description="Since when something that is said here could not be looked at again, because a service did not "
        "answer (RFC 3339); Ready falls after a grace period.",
        json_schema_extra={"format": "date-time"},
    )
    last_handled_reconcile_at: str | None = Field(
        default=None, description="Value of the annotation confidential.summarizer.dev/reconcile that was last obeyed."
    )
    last_handled_resolve_at: str | None = Field(
        default=None, description="Value of the annotation confidential.summarizer.dev/resolve that was last obeyed."
    )
    trust: Trust | None = Field(default=None, description="What the trust in the running group rests on.")
    placements: list[Placement] = Field(
        default_factory=list,
        description="Every place where groups were put; deletion looks into all of them.",
    )
    attempts: list[Attempt] = Field(
        default_factory=list, description="Groups that were made and have not come up; the next try waits for longer."
    )

    batch: BatchStatus | None = Field(default=None, description="How far the batch is.")

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return a condition by its type, or None."""
        return next((c for c in self.conditions if c.type == kind), None)
