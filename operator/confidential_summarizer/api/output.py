"""Where the owner gets results."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pyrage import RecipientError, x25519

from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.hosts import CONTAINER, Service, pattern

BLOB_PREFIX = rf"^https://{pattern(Service.BLOB)}/{CONTAINER}/([A-Za-z0-9._-]*[A-Za-z0-9_-]/)+$"
"""In Azure alone: the group sends its identity's token there."""

RECIPIENT = r"^age1[02-9ac-hj-np-z]{58}$"


def _checked(recipient: str) -> str:
    try:
        x25519.Recipient.from_str(recipient)
    except RecipientError:
        raise ValueError("is no age public key: copy the whole of what `csum results new-key` prints") from None
    return recipient


class Output(Ruled):
    """Results for the owner, encrypted in the group."""

    blob_prefix: Annotated[str, StringConstraints(max_length=1024)] = Field(
        description="https URL of a folder of blobs, with a slash at its end, for example "
        "https://party2.blob.core.windows.net/results/contracts/; one for each resource. The group writes one blob for "
        "each document with spec.identity, which needs the role Storage Blob Data Contributor on the container."
    )
    recipient: Annotated[str, StringConstraints(pattern=RECIPIENT), AfterValidator(_checked)] = Field(
        description="The owner's age public key, which `csum results new-key` prints. Results are encrypted to it; the "
        "policy pins it."
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Send the identity's token to Azure's storage alone."""
        return (
            Rule(
                "blobPrefix must be an https URL of a folder of blobs in Azure with a slash at its end, for example "
                "https://party2.blob.core.windows.net/results/contracts/",
                f"self.blobPrefix.matches(r'{BLOB_PREFIX}')",
                lambda self: re.fullmatch(BLOB_PREFIX, self.blob_prefix) is not None,
            ),
        )
