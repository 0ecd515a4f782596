"""A SummarizerGrant: what the summarizers of some namespaces may use outside of their namespace.

The operator and the groups have rights in Azure that the people of a namespace do not have. A cluster admin lends
them here, namespace by namespace; what no grant names is not touched.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from confidential_summarizer.api.names import API_VERSION, GRANT_KIND
from confidential_summarizer.api.resource import Metadata, problems
from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import HOST_NAME, IDENTITY_ID, RESOURCE_GROUP_ID, SubnetID
from confidential_summarizer.errors import SpecError

ANY = "*"
MAX_ITEMS = 64
"""Of each list: a grant beyond this is better two."""

NamespaceName = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$", max_length=63)]
KeyPattern = Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z*-]+$", max_length=127)]
Host = Annotated[str, StringConstraints(pattern=HOST_NAME, max_length=253)]
RegistryHost = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]+)?$", max_length=253)]
SubscriptionID = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$")]
IdentityID = Annotated[str, StringConstraints(pattern=IDENTITY_ID, max_length=1024)]
ResourceGroupID = Annotated[str, StringConstraints(pattern=RESOURCE_GROUP_ID, max_length=256)]


class NamespaceSelector(Ruled):
    """The namespaces that a grant is for: by name or by label."""

    names: list[NamespaceName] = Field(
        default_factory=list, max_length=MAX_ITEMS, description='Names of namespaces; "*" is every namespace.'
    )
    match_labels: dict[str, str] = Field(
        default_factory=dict,
        max_length=16,
        description="Labels that a namespace has to carry, all of them. Whoever may label a namespace can then take "
        "the grant.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Leave no doubt who is meant."""
        return (
            Rule(
                'name the namespaces by exactly one of names and matchLabels; names: ["*"] is every namespace',
                "(has(self.names) && size(self.names) > 0) != (has(self.matchLabels) && size(self.matchLabels) > 0)",
                lambda self: bool(self.names) != bool(self.match_labels),
            ),
        )

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels is meant."""
        if self.names:
            return ANY in self.names or namespace in self.names
        return self.match_labels.items() <= labels.items()


class VaultGrant(Ruled):
    """Keys of one vault."""

    host: Host = Field(description="Host name of the vault, for example party2.managedhsm.azure.net.")
    keys: list[KeyPattern] = Field(
        default=[ANY],
        min_length=1,
        max_length=MAX_ITEMS,
        description="Names of keys; * stands for any characters, as in legal-*.",
    )
    import_allowed: bool = Field(
        default=False,
        alias="import",
        description="Whether resources may have the operator import these keys and maintain their release policies "
        "(management Import).",
    )


class GrantSpec(Ruled):
    """Who may use what."""

    namespaces: NamespaceSelector = Field(description="The namespaces that this grant is for.")
    vaults: list[VaultGrant] = Field(
        default_factory=list, max_length=MAX_ITEMS, description="Vaults and their keys that file systems may name."
    )
    attestation_services: list[Host] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Host names of attestation services whose word may let a key out.",
    )
    identities: list[IdentityID] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="ARM ids of user-assigned identities that groups may run with or pull images with. Whoever may use "
        "one here has every right that it has in Azure.",
    )
    subscriptions: list[SubscriptionID] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Subscriptions in all of whose resource groups container groups may be made.",
    )
    resource_groups: list[ResourceGroupID] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="ARM ids of resource groups in which container groups may be made.",
    )
    subnets: list[SubnetID] = Field(
        default_factory=list, max_length=MAX_ITEMS, description="ARM ids of subnets in which groups may run."
    )
    registries: list[RegistryHost] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Registries that images may come from, for example party1.azurecr.io; docker.io for names without "
        "a registry.",
    )
    blob_hosts: list[Host] = Field(
        default_factory=list,
        max_length=MAX_ITEMS,
        description="Hosts of the blobs that file systems and their output may name, for example "
        "party2.blob.core.windows.net.",
    )


class SummarizerGrant(BaseModel):
    """The resource, parsed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: Metadata
    spec: GrantSpec

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Parse a grant from its JSON form.

        Raises:
            SpecError: It is no grant, or says what this version does not know; then it grants nothing.
        """
        identity = (document.get("apiVersion"), document.get("kind"))
        if identity != (API_VERSION, GRANT_KIND):
            raise SpecError(f"expected a {GRANT_KIND} of {API_VERSION}, found kind {identity[1]!r} of {identity[0]!r}")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            name = document.get("metadata", {}).get("name", "(no name)")
            raise SpecError(f"{GRANT_KIND} {name}: {problems(error)}") from None
