"""Values that several parts of the spec share: names, references to Secrets, Azure's ids."""

from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.quantity import PATTERN as QUANTITY_PATTERN
from confidential_summarizer.api.rules import Ruled

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HOST_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
RESOURCE_GROUP = r"[-a-zA-Z0-9_.()]{0,89}[-a-zA-Z0-9_()]"
"""Azure's rule; no dot at the end, so that it is no step up in a path either.

Source of these rules: Microsoft Learn, "Naming rules and restrictions for Azure resources".
"""
_GROUP_ID = rf"/subscriptions/[-0-9a-zA-Z]{{1,36}}/resource[gG]roups/{RESOURCE_GROUP}"
RESOURCE_GROUP_ID = rf"^{_GROUP_ID}$"
IDENTITY_ID = (
    rf"^{_GROUP_ID}/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[a-zA-Z0-9][-a-zA-Z0-9_]{{0,127}}$"
)
_NETWORK_NAME = r"[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,78}[a-zA-Z0-9_])?"
SUBNET_ID = rf"^{_GROUP_ID}/providers/Microsoft\.Network/virtualNetworks/{_NETWORK_NAME}/subnets/{_NETWORK_NAME}$"

Name = Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63)]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]
Image = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", min_length=1, max_length=512)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN, max_length=20)]
SubnetID = Annotated[str, StringConstraints(pattern=SUBNET_ID, max_length=1024)]


class SecretReference(Ruled):
    """A key of a Secret in the resource's namespace."""

    name: Name = Field(description="Name of the Secret, in the namespace of this resource.")
    key: SecretKey = Field(default="value", description="Key of the Secret's data that holds the value.")
