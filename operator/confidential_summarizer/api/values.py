"""Values that several parts of the spec share: names, references to Secrets, Azure's ids."""

from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.quantity import PATTERN as QUANTITY_PATTERN
from confidential_summarizer.api.rules import Ruled

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HOST_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
IDENTITY_ID = (
    r"^/subscriptions/[^/]+/resource[gG]roups/[^/]+/providers/"
    r"Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+$"
)

Name = Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63)]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]
Image = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", min_length=1, max_length=512)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN, max_length=20)]
AzureID = Annotated[str, StringConstraints(pattern=r"^/subscriptions/.+", max_length=1024)]


class SecretReference(Ruled):
    """A key of a Secret in the resource's namespace."""

    name: Name = Field(description="Name of the Secret, in the namespace of this resource.")
    key: SecretKey = Field(default="value", description="Key of the Secret's data that holds the value.")
