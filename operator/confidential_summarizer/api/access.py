"""Who may pull, use and read: identities, registry credentials, readers."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import IDENTITY_ID, SecretReference


class Exposure(StrEnum):
    """From where the page can be reached."""

    PRIVATE = "Private"
    PUBLIC = "Public"


class Identity(Ruled):
    """The user-assigned managed identity of the container group."""

    resource_id: Annotated[str, StringConstraints(pattern=IDENTITY_ID, max_length=1024)] = Field(
        description="ARM id of a user-assigned managed identity. It needs the role Managed HSM Crypto Service Release "
        "User on the keys and Storage Blob Data Reader on the blobs."
    )
    client_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$")] | None = Field(
        default=None,
        description="Client id of the same identity, needed where the group has a second one "
        "(registryCredentials.identity): the metadata service then wants to know which. "
        "`az identity show --ids ID --query clientId` prints it.",
    )


class RegistryCredentials(Ruled):
    """How images are pulled from a private registry: exactly one of the two."""

    secret_ref: SecretReference | None = Field(
        default=None, description="Secret of type kubernetes.io/dockerconfigjson, in this resource's namespace."
    )
    identity: Annotated[str, StringConstraints(pattern=IDENTITY_ID, max_length=1024)] | None = Field(
        default=None,
        description="ARM id of a user-assigned identity with the role AcrPull, for container groups. The operator "
        "measures with its own identity, which needs that role as well.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Leave no doubt which credential is used."""
        return (
            Rule(
                "set exactly one of registryCredentials.secretRef and registryCredentials.identity",
                "has(self.secretRef) != has(self.identity)",
                lambda self: (self.secret_ref is None) != (self.identity is None),
            ),
        )


class Access(Ruled):
    """Who may read the page."""

    exposure: Exposure = Field(
        default=Exposure.PRIVATE,
        description="Private: reachable inside the virtual network or cluster. Public: from the internet, for a "
        "container group without a subnet; it needs tokenSHA256 or tokenSecretRef.",
    )
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None,
        alias="tokenSHA256",
        description="SHA-256 (64 hexadecimal digits) of the readers' token, which the data owner makes and gives to "
        "readers. The page and its API ask for the token; nobody in the cluster knows it.",
    )
    token_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret with the readers' token (at least 32 characters), for a token that the cluster's admins "
        "may know. Only its SHA-256 goes into the group and the policy.",
    )

    @property
    def asks_for_token(self) -> bool:
        """Whether readers need a token."""
        return self.token_sha256 is not None or self.token_secret_ref is not None

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Never publish summaries to everybody."""
        return (
            Rule(
                "exposure Public needs access control: set access.tokenSHA256, or use exposure Private",
                "self.exposure != 'Public' || has(self.tokenSHA256) || has(self.tokenSecretRef)",
                lambda self: self.exposure is not Exposure.PUBLIC or self.asks_for_token,
            ),
            Rule(
                "set only one of access.tokenSHA256 and access.tokenSecretRef: there is one token",
                "!(has(self.tokenSHA256) && has(self.tokenSecretRef))",
                lambda self: self.token_sha256 is None or self.token_secret_ref is None,
            ),
        )
