"""Images as the guest gets them: pulled, measured and unpacked from the same bytes, each layer once."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from azure_sandbox.built_programs import built_program
from azure_sandbox.guest.api import ImageInaccessible, ImagePullFailed
from azure_sandbox.guest.machine import MEMORY, Machine, last_line
from confidential_summarizer.errors import AccessDenied, ImageError, IntegrityError, SummarizerError
from confidential_summarizer.registry import (
    CredentialSource,
    LayerDescriptor,
    RegistryClient,
    ResolvedImage,
)


@dataclass(frozen=True)
class Layer:
    """A layer in the guest: the root hash of the bytes that were unpacked, and where."""

    root_hash: str
    folder: Path


@dataclass(frozen=True)
class PulledImage:
    """An image in the guest, its layers base first."""

    image: ResolvedImage
    layers: tuple[Layer, ...]


class Images:
    """The registry as one group sees it. Use as an async context manager.

    Args:
        credentials: What it is pulled with.
    """

    def __init__(self, credentials: CredentialSource) -> None:
        self._client = RegistryClient(credentials, loopback=True)

    async def __aenter__(self) -> "Images":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.__aexit__(None, None, None)

    async def check(self, references: Iterable[str]) -> None:
        """Ask for the manifests of images.

        Raises:
            ImageInaccessible: One is not there or not handed out.
        """
        try:
            await asyncio.gather(*map(self._client.resolve, references))
        except (ImageError, AccessDenied) as error:
            raise ImageInaccessible(str(error)) from error

    async def pull(self, references: Iterable[str], machine: Machine) -> dict[str, PulledImage]:
        """Pull images into a machine; a layer that several have is pulled once.

        Raises:
            ImagePullFailed: One cannot be had, or its bytes are not what a digest says.
        """
        images = await asyncio.gather(*map(self._resolve, references))
        cores = asyncio.Semaphore(os.cpu_count() or 1)
        wanted = {layer.diff_id: (image, layer) for image in reversed(images) for layer in image.layers}

        async def take(number: int, image: ResolvedImage, layer: LayerDescriptor) -> Layer:
            async with cores:
                return await self._layer(image, layer, machine, machine.folder("layers", str(number)))

        tasks: dict[str, asyncio.Task[Layer]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for number, (diff_id, (image, layer)) in enumerate(wanted.items()):
                    tasks[diff_id] = group.create_task(take(number, image, layer))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {
            image.original: PulledImage(image, tuple(tasks[layer.diff_id].result() for layer in image.layers))
            for image in images
        }

    async def _resolve(self, reference: str) -> ResolvedImage:
        try:
            return await self._client.resolve(reference)
        except (ImageError, IntegrityError, AccessDenied) as error:
            raise ImagePullFailed(f'Failed to pull image "{reference}": {error}') from error
        except SummarizerError as error:
            raise ImagePullFailed(f'Failed to pull image "{reference}"; it may be there later: {error}') from error

    async def _layer(self, image: ResolvedImage, layer: LayerDescriptor, machine: Machine, folder: Path) -> Layer:
        subject = f'Failed to pull image "{image.original}": layer {layer.digest}'
        layerhash = [str(built_program("layerhash")), str(MEMORY)]
        unpacking = await machine.spawn("azure_sandbox.guest.unpack", [str(folder)])
        measuring = await machine.spawn_program(layerhash)
        try:
            await _feed(self._client.open_layer(image, layer), unpacking, measuring)
            (measured, _), (_, errors) = await asyncio.gather(measuring.communicate(), unpacking.communicate())
        except SummarizerError as error:
            raise ImagePullFailed(f"{subject}: {error}") from error
        finally:
            await _end(unpacking, measuring)
        found = json.loads(measured or b'{"error": "the process that measures it ended early"}')
        if "error" in found:
            raise ImagePullFailed(f"{subject} cannot be measured: {found['error']}")
        if found["diff_id"] != layer.diff_id:
            raise ImagePullFailed(f"{subject} holds {found['diff_id']}, but the image's config says {layer.diff_id}")
        if unpacking.returncode:
            raise ImagePullFailed(f"{subject} cannot be unpacked: {last_line(errors)}")
        return Layer(found["root_hash"], folder)


async def _feed(chunks: AsyncIterator[bytes], *processes: asyncio.subprocess.Process) -> None:
    """Give the same bytes to several processes; one that has ended early is passed over, its exit code tells."""
    writers = [process.stdin for process in processes if process.stdin is not None]
    async for chunk in chunks:
        for writer in writers:
            writer.write(chunk)
        drained = await asyncio.gather(*(writer.drain() for writer in writers), return_exceptions=True)
        writers = [writer for writer, error in zip(writers, drained, strict=True) if error is None]
    for writer in writers:
        writer.close()  # communicate() closes it only where it has something to send


async def _end(*processes: asyncio.subprocess.Process) -> None:
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
