"""Blobs of sealed images: push, look at, share for a time, delete with all their states.

Images are block blobs: the sidecar only reads them.
The digest of the image is kept as the blob's metadata, and every piece is sent with its own checksum, which the
service verifies: that is how a push is known to be whole without reading it all back.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, BlobSasPermissions, BlobType, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.client import Client
from confidential_summarizer.azure.conversion import converted, error_code
from confidential_summarizer.azure.transport import client_options
from confidential_summarizer.azure.upload import BlockUpload, UploadProgress
from confidential_summarizer.errors import IntegrityError, NotFound, SpecError

DIGEST_METADATA = "csum_sha256"
"""Metadata name of the whole image's SHA-256 in hex; set only once everything is there."""

CONTENT_METADATA = "csum_content_sha256"
"""Metadata name of the SHA-256 of the content manifest, for people who look at the blob; nothing depends on it."""

LONGEST_DELEGATION = timedelta(days=7)
"""Azure's limit for a user-delegation key, and so for a SAS made with one."""

_CLOCK_SKEW = timedelta(minutes=5)

Credential = AsyncTokenCredential | AzureNamedKeyCredential | None
"""A signed-in identity, an account key, or None where the URL has a SAS."""


@dataclass(frozen=True)
class BlobState:
    """A blob as the service describes it.

    Attributes:
        url: Without a SAS.
        size: Bytes.
        sha256: Digest of the image, None where it was not pushed whole by `push`.
        content_sha256: Digest of the content manifest, as its pusher said.
        etag: Changes with every write.
        modified: When it was last written.
    """

    url: str
    size: int
    sha256: str | None
    content_sha256: str | None
    etag: str
    modified: datetime


@dataclass(frozen=True)
class OtherState:
    """A state of a blob that storage keeps beside the present one.

    Attributes:
        snapshot: Names it, where it is a snapshot.
        version: Names it, where it is a version.
        deleted: Whether it is deleted already, and only kept back by soft delete.
        days: How many more days soft delete keeps it; None where storage does not say.
    """

    snapshot: str | None = None
    version: str | None = None
    deleted: bool = False
    days: int | None = None

    def __str__(self) -> str:
        if self.snapshot:
            return f"snapshot {self.snapshot}"
        return f"version {self.version}" if self.version else "present state"


def storage(url: BlobURL, credential: Credential, retries: int) -> BlobServiceClient:
    """Return a client of the account that a blob lies in; a SAS in the URL counts if there is no credential."""
    return BlobServiceClient(
        url.account_url, credential=credential if credential is not None else url.sas, **client_options(retries)
    )


class SealedBlob(Client[BlobServiceClient]):
    """One blob. Use as an async context manager."""

    def __init__(self, url: BlobURL, credential: Credential, *, retries: int = 4) -> None:
        """Prepare the client; no call is made.

        Args:
            url: Where the blob is or will be; a SAS in it is used if there is no credential.
            credential: Who calls; stays the caller's to close.
            retries: How often the SDK repeats a failed call.
        """
        self.url = url
        self._credential = credential
        super().__init__(storage(url, credential, retries))
        self._blob: BlobClient = self._client.get_blob_client(url.container, url.blob)

    async def state(self) -> BlobState | None:
        """Return the blob as it is, or None where there is none."""
        properties = await self._properties()
        return None if properties is None else self._state(properties)

    async def head(self, length: int) -> bytes:
        """Return the first bytes of the blob as they are stored, as many as there are up to `length`.

        Raises:
            SummarizerError: There is no such blob, or it may not be read.
        """
        with converted(self._subject):
            stream = await self._blob.download_blob(offset=0, length=length, decompress=False)
            return await stream.readall()

    async def create_container(self) -> None:
        """Create the blob's container, private to the account; one that exists already is left alone."""
        with converted(self._subject):
            try:
                await self._client.create_container(self.url.container)
            except ResourceExistsError:
                return

    async def push(
        self,
        image: Path,
        *,
        content_sha256: str | None = None,
        overwrite: bool = False,
        progress: UploadProgress | None = None,
    ) -> BlobState:
        """Push an image, or go on with an interrupted push of the same image.

        Args:
            image: The sealed image.
            content_sha256: Digest of the content manifest, to be kept with the blob.
            overwrite: Replace another image under this name.
            progress: Told the bytes done and the bytes in all.

        Raises:
            SpecError: Another blob has the name.
            IntegrityError: The blob is not what was pushed.
            SummarizerError: The service refused or failed.
        """
        size, digest = await asyncio.to_thread(_size_and_digest, image)
        existing = await self._properties()
        if existing is not None and self._complete(existing, digest):
            return self._state(existing)
        if existing is not None:
            await self._make_room(existing, overwrite=overwrite)
        metadata = {DIGEST_METADATA: digest} | ({CONTENT_METADATA: content_sha256} if content_sha256 else {})
        with converted(self._subject):
            await BlockUpload(self._blob, image, size, progress).run(metadata)
        return await self._verified(size, digest)

    async def delete(self) -> BlobState:
        """Delete the blob and its snapshots, if nobody writes to it in between; return what was deleted.

        Raises:
            NotFound: There is no such blob.
            TransientError: It changed in between.
        """
        state = await self.state()
        if state is None:
            raise NotFound(f"{self._subject}: there is no such blob.")
        with converted(self._subject):
            await self._blob.delete_blob(
                delete_snapshots="include", etag=state.etag, match_condition=MatchConditions.IfNotModified
            )
        if await self.state() is not None:
            raise IntegrityError(
                f"{self._subject}: the blob is still there after it was deleted; somebody pushed anew."
            )
        return state

    async def other_states(self) -> list[OtherState]:
        """Return the snapshots, versions and deleted states that storage keeps of the blob.

        Raises:
            SummarizerError: They may not be listed, as with a SAS of the blob alone.
        """
        container, found = self._client.get_container_client(self.url.container), []
        with converted(self._subject):
            names = container.list_blobs(name_starts_with=self.url.blob, include=["snapshots", "versions", "deleted"])
            async for one in names:
                present = not one.snapshot and not one.deleted and (not one.version_id or one.is_current_version)
                if one.name == self.url.blob and not present:
                    days = one.remaining_retention_days
                    found.append(OtherState(one.snapshot, one.version_id, bool(one.deleted), days))
        return found

    async def delete_version(self, version: str) -> None:
        """Delete a version that is not the present one."""
        with converted(self._subject):
            await self._blob.delete_blob(version_id=version)

    async def share(self, duration: timedelta, now: datetime | None = None) -> str:
        """Return the blob's URL with a SAS that lets its holder read the blob for a time.

        Raises:
            SpecError: The time is too long, or the credential cannot sign.
        """
        now = now or datetime.now(UTC)
        start, expiry = now - _CLOCK_SKEW, now + duration
        signer: dict[str, Any]
        if isinstance(self._credential, AzureNamedKeyCredential):
            signer = {"account_key": self._credential.named_key.key}
        elif self._credential is not None:
            if duration > LONGEST_DELEGATION:
                raise SpecError("A SAS signed by an identity lasts 7 days at most. Give --sas 7d, or an account key.")
            with converted(self._subject):
                key = await self._client.get_user_delegation_key(start, expiry)
            signer = {"user_delegation_key": key}
        else:
            raise SpecError("A SAS cannot sign another one. Sign in, or give the account key.")
        sas = generate_blob_sas(
            self.url.account,
            self.url.container,
            self.url.blob,
            permission=BlobSasPermissions(read=True),
            start=start,
            expiry=expiry,
            protocol="https",
            **signer,
        )
        return f"{self.url}?{sas}"

    async def _make_room(self, existing: BlobProperties, *, overwrite: bool) -> None:
        if not overwrite:
            raise SpecError(
                f"{self._subject}: another blob of {existing.size} bytes has this name. Push with --overwrite, "
                "or under another name. A group that has it mounted reads nonsense once it is replaced."
            )
        if existing.blob_type != BlobType.BLOCKBLOB:  # blocks cannot take the place of pages
            with converted(self._subject):
                await self._blob.delete_blob(
                    delete_snapshots="include", etag=existing.etag, match_condition=MatchConditions.IfNotModified
                )

    async def _verified(self, size: int, digest: str) -> BlobState:
        properties = await self._properties()
        if properties is None or properties.size != size or not self._complete(properties, digest):
            raise IntegrityError(f"{self._subject}: the blob is not what was pushed. Push it again.")
        return self._state(properties)

    async def _properties(self) -> BlobProperties | None:
        with converted(self._subject):
            try:
                return await self._blob.get_blob_properties()
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
                return None

    def _complete(self, properties: BlobProperties, digest: str) -> bool:
        is_block = properties.blob_type == BlobType.BLOCKBLOB
        return is_block and _metadata(properties).get(DIGEST_METADATA) == digest

    def _state(self, properties: BlobProperties) -> BlobState:
        return BlobState(
            url=str(self.url),
            size=properties.size,
            sha256=_metadata(properties).get(DIGEST_METADATA),
            content_sha256=_metadata(properties).get(CONTENT_METADATA),
            etag=str(properties.etag).strip('"'),
            modified=properties.last_modified,
        )

    @property
    def _subject(self) -> str:
        return f"Blob {self.url}"


def _size_and_digest(image: Path) -> tuple[int, str]:
    try:
        with image.open("rb") as file:
            return image.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SpecError(f"{image}: {error.strerror}. Give the image that `csum seal` wrote.") from None


def _metadata(properties: BlobProperties) -> Mapping[str, str]:
    return {name.lower(): value for name, value in (properties.metadata or {}).items()}
