"""Where the group runs."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import DNS_LABEL, AzureID


class VirtualNodeGeneration(StrEnum):
    """The generation of the ACI virtual node."""

    V2 = "V2"
    CLASSIC = "Classic"


class VirtualNode(Ruled):
    """Deploy as pods on an ACI virtual node of this cluster."""

    generation: VirtualNodeGeneration = Field(
        default=VirtualNodeGeneration.V2, description="V2: virtual nodes on Azure Container Instances."
    )
    subnet_id: AzureID | None = Field(
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
    resource_group: Annotated[str, StringConstraints(pattern=r"^[-\w._()]+$", max_length=90)] = Field(
        description="Name of the resource group; it has to exist."
    )
    location: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$", max_length=60)] = Field(
        description="Azure region with confidential container groups, for example westeurope."
    )
    subnet_ids: list[AzureID] = Field(
        default_factory=list,
        max_length=1,
        description="ARM id of one delegated subnet; without it the group has a public address.",
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
