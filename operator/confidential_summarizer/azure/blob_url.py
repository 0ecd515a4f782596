"""The URL of a blob, and a SAS in it."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from confidential_summarizer.errors import SpecError
from confidential_summarizer.hosts import Service, pattern

_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
"""3 to 63 lower-case letters, digits and single hyphens."""


@dataclass(frozen=True)
class BlobURL:
    """A blob's address, `https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB`, with a SAS or without.

    Attributes:
        host: The account's host name.
        container: The container.
        blob: The blob's name; it may hold slashes.
        sas: The query of a shared access signature, without its question mark. It is a secret.
    """

    host: str
    container: str
    blob: str
    sas: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Raises:
            SpecError: It is no https URL of a blob. The message never holds the query.
        """
        parts = urlsplit(text.strip())
        container, _, blob = parts.path.lstrip("/").partition("/")
        blob = unquote(blob)
        # A step up, which clients on the way take; Azure's rule lets no part of a name end with a dot.
        steps = any(segment.endswith(".") for segment in blob.split("/"))
        in_azure = re.fullmatch(pattern(Service.BLOB), parts.netloc)
        if parts.scheme != "https" or not in_azure or not blob or steps or not _CONTAINER.fullmatch(container):
            raise SpecError(
                f"{parts._replace(query='', fragment='').geturl()} is no blob URL. It looks like "
                "https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB."
            )
        if parts.query and "sig" not in parse_qs(parts.query):
            raise SpecError(f"The query of {parts.netloc}{parts.path} is no shared access signature. Leave it out.")
        return cls(host=parts.netloc, container=container, blob=blob, sas=parts.query or None)

    def __str__(self) -> str:
        """Return the URL without the SAS: what belongs into a resource, a message or a log."""
        return f"https://{self.host}/{self.container}/{quote(self.blob)}"

    def __repr__(self) -> str:
        return f"BlobURL({self})"

    @property
    def account(self) -> str:
        """The storage account's name."""
        return self.host.partition(".")[0]

    @property
    def account_url(self) -> str:
        """The account's URL."""
        return f"https://{self.host}"
