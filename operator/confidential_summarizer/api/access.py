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


class RegistryCredentials(Ruled):
    """How images are pulled from a private registry: exactly one of the two."""

    secret_ref: SecretReference | None = Field(
        default=None, description="Secret of type kubernetes.io/dockerconfigjson, in this resource's namespace."
    )
    identity: Annotated[str, StringConstraints(pattern=IDENTITY_ID, max_length=1024)] | None = Field(
        default=None, description="ARM id of a user-assigned identity with the role AcrPull."
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
        description="Private: reachable inside the virtual network or cluster. Public: from the internet, which needs "
        "tokenSecretRef.",
    )
    token_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret with the readers' token (at least 32 characters). Only its SHA-256 goes into the group and "
        "the policy; the page and its API ask for the token.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Never publish summaries to everybody."""
        return (
            Rule(
                "exposure Public needs access control: set access.tokenSecretRef, or use exposure Private",
                "self.exposure != 'Public' || has(self.tokenSecretRef)",
                lambda self: self.exposure is not Exposure.PUBLIC or self.token_secret_ref is not None,
            ),
        )
