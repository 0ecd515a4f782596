"""Images from a registry, every byte checked against its digest."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from confidential_summarizer.errors import ImageError, IntegrityError, TransientError
from confidential_summarizer.registry.credentials import CredentialSource
from confidential_summarizer.registry.image import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    JsonObject,
    LayerDescriptor,
    ResolvedImage,
    choose_manifest,
    config_descriptor,
    media_type,
    parse_config,
    parse_layers,
    parse_object,
)
from confidential_summarizer.registry.reference import ImageReference
from confidential_summarizer.registry.transport import Transport, read_limited

_MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest or index: the limit that registries are asked to keep (OCI distribution, "Pushing manifests")."""
_CONFIG_LIMIT = 8 << 20
_CHUNK = 1 << 20
_RESUMES = 5
_RESUME_DELAY = 0.5
_NESTED_INDEXES = 3
_ACCEPT = {"Accept": ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


class ImageSource(Protocol):
    """Where images come from: a registry, or an archive on disk."""

    async def resolve(self, reference: str) -> ResolvedImage:
        """Fix an image to exact bytes."""
        ...

    def open_layer(self, image: ResolvedImage, layer: LayerDescriptor) -> AsyncIterator[bytes]:
        """The layer as stored, verified when the last byte has been read."""
        ...


class RegistryClient:
    """Reads images from registries over the OCI distribution API; use it as an async context manager."""

    def __init__(self, credentials: CredentialSource | None = None, *, loopback: bool = False) -> None:
        """Prepare the client; `loopback` says whether a registry may be on this machine itself."""
        self._transport = Transport(credentials, loopback=loopback)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def resolve(self, reference: str) -> ResolvedImage:
        """Find the linux/amd64 image of a reference and read its manifest and config.

        Raises:
            ImageError: There is no such image, or it cannot run in a confidential container group.
            IntegrityError: The registry sent other bytes than the digest promises.
            AccessDenied: The registry wants another credential.
            TransientError: The registry did not answer well.
        """
        parsed = ImageReference.parse(reference)
        subject = f"image {reference}"
        digest, manifest = await self._manifest(parsed, parsed.digest or parsed.tag or "", subject)
        config_digest, size = config_descriptor(manifest, subject)
        if size > _CONFIG_LIMIT:
            raise ImageError(f"{subject} has a config of {size} bytes: refused")
        body = await self._small(parsed, f"blobs/{config_digest}", _CONFIG_LIMIT)
        _verify(body, config_digest, f"the config of {subject}")
        config = parse_config(parse_object(body, f"the config of {subject}"), subject)
        return ResolvedImage(reference, parsed, digest, config, parse_layers(manifest, config, subject))

    async def open_layer(self, image: ResolvedImage, layer: LayerDescriptor) -> AsyncIterator[bytes]:
        """Stream a layer as stored; a broken download goes on where it stopped.

        Raises:
            IntegrityError: At the end, when size or digest are not the layer's.
            TransientError: The download broke more often than makes sense.
        """
        digest, done = hashlib.sha256(), 0
        for attempt in range(_RESUMES + 1):
            try:
                async for chunk in self._range(image.reference, layer, done):
                    digest.update(chunk)
                    done += len(chunk)
                    yield chunk
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == _RESUMES:
                    message = (
                        f"layer {layer.digest} of {image.original}: the download broke {attempt + 1} times, try again"
                    )
                    raise TransientError(message) from error
                await asyncio.sleep(_RESUME_DELAY)
                continue
            if done >= layer.size or attempt == _RESUMES:
                break
        if done != layer.size or digest.hexdigest() != layer.digest.removeprefix("sha256:"):
            raise IntegrityError(
                f"layer {layer.digest} of {image.original}: the registry sent other bytes than it names"
            )

    async def _range(self, reference: ImageReference, layer: LayerDescriptor, start: int) -> AsyncIterator[bytes]:
        """The blob from byte `start` on, at most one byte more than the layer should have."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        left = layer.size + 1 - start
        path = f"blobs/{layer.digest}"
        async with self._transport.get(reference.registry, reference.repository, path, headers) as response:
            skip = start if response.status == 200 else start - _range_start(response)
            if skip < 0:
                raise IntegrityError(f"layer {layer.digest}: the registry sent another range than it was asked for")
            async for chunk in response.content.iter_chunked(_CHUNK):
                kept = chunk[skip : skip + left]
                skip = max(0, skip - len(chunk))
                left -= len(kept)
                if kept:
                    yield kept
                if not left:
                    return

    async def _manifest(self, reference: ImageReference, name: str, subject: str) -> tuple[str, JsonObject]:
        for _ in range(_NESTED_INDEXES):
            path = f"manifests/{name}"
            async with self._transport.get(reference.registry, reference.repository, path, _ACCEPT) as response:
                body = await _read(response, _MANIFEST_LIMIT, subject)
                declared = response.content_type
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            if name.startswith("sha256:"):
                _verify(body, name, subject)
            document = parse_object(body, f"the manifest of {subject}")
            kind = media_type(document, declared)
            if kind in MANIFEST_TYPES:
                return digest, document
            if kind not in INDEX_TYPES:
                raise ImageError(f"{subject} is a {kind}: push an OCI image or a docker image of schema 2")
            name = choose_manifest(document, subject)
        raise ImageError(f"{subject}: its indexes are nested too deep, push an index of images")

    async def _small(self, reference: ImageReference, path: str, limit: int) -> bytes:
        async with self._transport.get(reference.registry, reference.repository, path, {}) as response:
            return await _read(response, limit, f"{reference} {path}")


async def _read(response: aiohttp.ClientResponse, limit: int, subject: str) -> bytes:
    try:
        return await read_limited(response, limit, subject)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientError(f"{subject}: the registry's answer broke off, try again") from error


def _range_start(response: aiohttp.ClientResponse) -> int:
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else 0


def _verify(body: bytes, digest: str, subject: str) -> None:
    if hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
        raise IntegrityError(f"{subject}: the registry sent other bytes than {digest} names")
