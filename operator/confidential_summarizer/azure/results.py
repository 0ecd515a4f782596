"""The blobs of one prefix, to be listed and read by the owner of the results."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from azure.storage.blob.aio import BlobServiceClient

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import Credential, storage
from confidential_summarizer.azure.client import Client
from confidential_summarizer.azure.conversion import converted

MOST_BLOBS = 20_000
"""As many files as a group reads at most; a listing without end would hold the command for ever."""


@dataclass(frozen=True)
class StoredBlob:
    """A blob as it is listed.

    Attributes:
        name: Below the prefix.
        size: Bytes.
        modified: When it was last written.
    """

    name: str
    size: int
    modified: datetime


class BlobFolder(Client[BlobServiceClient]):
    """All blobs whose names begin with one prefix. Use as an async context manager."""

    def __init__(self, prefix: BlobURL, credential: Credential, *, retries: int = 4) -> None:
        """Prepare the client; no call is made. A SAS in the URL is used if there is no credential."""
        self.prefix = prefix
        super().__init__(storage(prefix, credential, retries))
        self._container = self._client.get_container_client(prefix.container)

    async def blobs(self) -> AsyncIterator[StoredBlob]:
        """Walk the blobs in the order of their names, `MOST_BLOBS` at most."""
        count = 0
        with converted(f"Blobs {self.prefix}"):
            async for blob in self._container.list_blobs(name_starts_with=self.prefix.blob):
                if (count := count + 1) > MOST_BLOBS:
                    return
                yield StoredBlob(blob.name.removeprefix(self.prefix.blob), blob.size or 0, blob.last_modified)

    async def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a blob, as they are stored."""
        with converted(f"Blob {self.prefix}{name}"):
            stream = await self._container.download_blob(
                self.prefix.blob + name, offset=0, length=limit, decompress=False
            )
            return await stream.readall()
