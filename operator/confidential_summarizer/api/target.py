"""Where the group runs."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import DNS_LABEL, RESOURCE_GROUP, SubnetID


class TargetKind(StrEnum):
    """Where groups can run; status, columns and the table of targets name them so."""

    VIRTUAL_NODE = "VirtualNode"
    CONTAINER_GROUP = "ContainerGroup"


class Placement(Ruled):
    """A place where groups of a resource are or were: enough to find them again without a valid spec."""

    kind: TargetKind = Field(description="Kind of the target.")
    subscription_id: str | None = Field(default=None, description="Azure subscription; only of container groups.")
    resource_group: str | None = Field(default=None, description="Resource group; only of container groups.")
    groups: int = Field(
        default=1, ge=0, le=100, description="The most groups that were ever wanted there; their names follow from it."
    )

    def same_place(self, other: "Placement") -> bool:
        """Tell whether the other one is this place, however many groups each knows of."""
        return _place(self) == _place(other)

    def __str__(self) -> str:
        if self.kind is TargetKind.VIRTUAL_NODE:
            return "the resource's namespace"
        return f"subscription {self.subscription_id}, resource group {self.resource_group}"


def _place(placement: Placement) -> tuple[str, str, str]:
    # Resource Manager compares ids without regard to case.
    return placement.kind, (placement.subscription_id or "").lower(), (placement.resource_group or "").lower()


class Attempt(Ruled):
    """How often a group has been made that did not come up; what the pause before the next try is taken from."""

    group: str = Field(description="Name of the group.")
    body: str = Field(description="SHA-256 of what it was made from; something else is tried at once.")
    count: int = Field(description="How often it was made.", ge=1)
    time: str = Field(description="When it was last made (RFC 3339).", json_schema_extra={"format": "date-time"})


class VirtualNodeGeneration(StrEnum):
    """The generation of the ACI virtual node."""

    V2 = "V2"
    CLASSIC = "Classic"


class VirtualNode(Ruled):
    """Deploy as pods on an ACI virtual node of this cluster."""

    generation: VirtualNodeGeneration = Field(
        default=VirtualNodeGeneration.V2, description="V2: virtual nodes on Azure Container Instances."
    )
    subnet_id: SubnetID | None = Field(
        default=None, description="ARM id of the subnet, where the node's default is not wanted."
    )
    zone: Annotated[str, StringConstraints(pattern=r"^[1-9]$")] | None = Field(
        default=None, description="Availability zone, where the node's default is not wanted."
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse the node that cannot run the sidecar."""
        return (
            Rule(
                "the classic virtual node (azure-aci) drops privileged mode and managed identities, so the encrypted "
                "file system sidecar cannot run there: use generation V2 or the containerGroup target",
                "self.generation != 'Classic'",
                lambda self: self.generation is not VirtualNodeGeneration.CLASSIC,
            ),
        )


class ContainerGroup(Ruled):
    """Deploy as container groups straight through Azure Resource Manager."""

    subscription_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$")] = Field(
        description="Id of the Azure subscription (a GUID)."
    )
    resource_group: Annotated[str, StringConstraints(pattern=rf"^{RESOURCE_GROUP}$")] = Field(
        description="Name of the resource group; it has to exist."
    )
    location: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$", max_length=60)] = Field(
        description="Azure region with confidential container groups, for example westeurope."
    )
    subnet_ids: list[SubnetID] = Field(
        default_factory=list,
        max_length=1,
        description="ARM id of one delegated subnet; without it the group has a public address, which needs "
        "access.exposure Public.",
    )
    dns_name_label: Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=5, max_length=63)] | None = Field(
        default=None, description="Label of the public DNS name; only without a subnet."
    )
    zones: list[Annotated[str, StringConstraints(pattern=r"^[1-9]$")]] = Field(
        default_factory=list, max_length=1, description="Availability zone of the group."
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse addresses that Azure Container Instances does not give."""
        return (
            Rule(
                "a container group in a subnet has no public DNS name: remove dnsNameLabel or subnetIDs",
                "!has(self.dnsNameLabel) || !has(self.subnetIDs) || size(self.subnetIDs) == 0",
                lambda self: self.dns_name_label is None or not self.subnet_ids,
            ),
        )


class Target(Ruled):
    """Where the group runs: exactly one of the two."""

    virtual_node: VirtualNode | None = Field(
        default=None, description="Pods on an ACI virtual node of this cluster; {} takes the node's defaults."
    )
    container_group: ContainerGroup | None = Field(
        default=None, description="Container groups straight through Azure Resource Manager."
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Leave no doubt where the text goes, and keep a running group where it is."""
        return (
            Rule(
                "set exactly one target: target.virtualNode or target.containerGroup",
                "has(self.virtualNode) != has(self.containerGroup)",
                lambda self: (self.virtual_node is None) != (self.container_group is None),
            ),
            Rule.immutable(
                "has(self.virtualNode) == has(oldSelf.virtualNode)",
                "the target cannot change from one kind to the other: create a second ConfidentialSummarizer, then "
                "delete this one",
            ),
        )

    @property
    def kind(self) -> TargetKind:
        """Return which of the targets it is."""
        return TargetKind.VIRTUAL_NODE if self.virtual_node is not None else TargetKind.CONTAINER_GROUP

    @property
    def has_public_address(self) -> bool:
        """Tell whether Azure gives the group an address on the internet."""
        return self.container_group is not None and not self.container_group.subnet_ids

    def placement(self, replicas: int) -> Placement:
        """Return the place of so many groups."""
        group = self.container_group
        return Placement(
            kind=self.kind,
            subscription_id=group.subscription_id if group else None,
            resource_group=group.resource_group if group else None,
            groups=replicas,
        )
