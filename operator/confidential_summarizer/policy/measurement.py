"""From an image reference to the root hashes of its layers."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from confidential_summarizer.errors import ImageError, IntegrityError, TransientError, UnhashableLayer
from confidential_summarizer.policy.layers.cache import DiskCache, LayerCache
from confidential_summarizer.policy.layers.measure import MeasuredLayer, measure_layer
from confidential_summarizer.registry import ImageSource, LayerDescriptor, ResolvedImage

_INLINE = 8 << 20
"""Bytes of a stored layer up to which a thread here is quicker than starting a process."""


@dataclass(frozen=True)
class MeasuredImage:
    """An image and the root hash of each of its layers, base first: 64 hex digits each."""

    image: ResolvedImage
    layers: tuple[str, ...]
    details: tuple[MeasuredLayer, ...] = ()


@dataclass(frozen=True)
class LayerProgress:
    """How far one layer is, in bytes as stored."""

    image: str
    layer: str
    done: int
    total: int
    cached: bool = False


Progress = Callable[[LayerProgress], None]


class _Cores:
    """Lets as many layers be measured at once as there are cores, across all images of this event loop."""

    def __init__(self) -> None:
        self._by_loop: dict[int, asyncio.Semaphore] = {}

    def limit(self) -> asyncio.Semaphore:
        loop = id(asyncio.get_running_loop())
        if loop not in self._by_loop:
            self._by_loop = {loop: asyncio.Semaphore(os.cpu_count() or 1)}
        return self._by_loop[loop]


_CORES = _Cores()


async def measure(
    client: ImageSource, reference: str, cache: LayerCache | None = None, progress: Progress | None = None
) -> MeasuredImage:
    """Resolve an image and measure the layers that the cache does not know.

    Args:
        client: Where the image is: a `RegistryClient`, or an archive.
        reference: The image as the manifest names it.
        cache: Root hashes by diff_id; asked first, and given what is measured here. By default the command line's.
        progress: Told how far each layer is.

    Raises:
        UnhashableLayer: A layer has no root hash; the message names image, layer and cause.
        ImageError: The image does not exist or cannot be used.
        IntegrityError: Bytes are not what a digest says.
        AccessDenied, TransientError: As `RegistryClient` raises them.
    """
    return await measure_image(client, await client.resolve(reference), cache, progress)


async def measure_image(
    client: ImageSource, image: ResolvedImage, cache: LayerCache | None = None, progress: Progress | None = None
) -> MeasuredImage:
    """Measure an image that is resolved already; see `measure`."""
    limit = _CORES.limit()
    known = DiskCache() if cache is None else cache

    async def one(layer: LayerDescriptor) -> MeasuredLayer:
        async with limit:
            return await _measure_layer(client, image, layer, known, progress)

    tasks: dict[str, asyncio.Task[MeasuredLayer]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for diff_id, layer in {
                layer.diff_id: layer for layer in image.layers
            }.items():  # equal layers are read once
                tasks[diff_id] = group.create_task(one(layer))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    details = tuple(tasks[layer.diff_id].result() for layer in image.layers)
    return MeasuredImage(image, tuple(detail.root_hash for detail in details), details)


async def _measure_layer(
    client: ImageSource, image: ResolvedImage, layer: LayerDescriptor, cache: LayerCache, progress: Progress | None
) -> MeasuredLayer:
    known = cache.get(layer.diff_id)
    if known:
        if progress:
            progress(LayerProgress(image.original, layer.digest, layer.size, layer.size, cached=True))
        return known
    stored = _reported(client.open_layer(image, layer), image, layer, progress)
    try:
        measured = await (_in_thread(stored) if layer.size <= _INLINE else _in_process(stored))
    except UnhashableLayer as error:
        raise UnhashableLayer(
            f"image {image.original}, layer {layer.digest}: no root hash exists for it ({error}). "
            "The reference tool refuses it too: rebuild the image so that this layer does not hold such an entry"
        ) from None
    except ImageError as error:
        raise ImageError(f"image {image.original}, layer {layer.digest}: {error}") from None
    if measured.diff_id != layer.diff_id:
        raise IntegrityError(
            f"image {image.original}, layer {layer.digest}: its tar is {measured.diff_id}, "
            f"its config says {layer.diff_id}: push the image again"
        )
    cache.put(measured)
    return measured


async def _reported(
    chunks: AsyncIterator[bytes], image: ResolvedImage, layer: LayerDescriptor, progress: Progress | None
) -> AsyncIterator[bytes]:
    done = 0
    async for chunk in chunks:
        yield chunk
        done += len(chunk)
        if progress:
            progress(LayerProgress(image.original, layer.digest, done, layer.size))


async def _in_thread(chunks: AsyncIterator[bytes]) -> MeasuredLayer:
    stored = [chunk async for chunk in chunks]
    return await asyncio.to_thread(measure_layer, stored)


async def _in_process(chunks: AsyncIterator[bytes]) -> MeasuredLayer:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "confidential_summarizer.policy.layers.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdin  # noqa: S101 - it was asked for above
    try:
        async for chunk in chunks:
            worker.stdin.write(chunk)
            await worker.stdin.drain()
        worker.stdin.close()  # communicate() closes it only where it has something to send
        output, _ = await worker.communicate()
    except ConnectionError as error:
        raise TransientError("the process that measures a layer ended too early: try again") from error
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
    return _answer(output)


def _answer(output: bytes) -> MeasuredLayer:
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise TransientError(
            "the process that measures a layer ended without an answer: is there enough memory?"
        ) from error
    if "unhashable" in answer:
        raise UnhashableLayer(answer["unhashable"])
    if "unusable" in answer:
        raise ImageError(answer["unusable"])
    return MeasuredLayer.from_json(answer["layer"])
