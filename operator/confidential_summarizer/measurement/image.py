"""From an image reference to the root hashes of its layers."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from confidential_summarizer.errors import ImageError, IntegrityError, TransientError, UnhashableLayer
from confidential_summarizer.measurement.cache import DiskCache, LayerCache
from confidential_summarizer.measurement.layer import MeasuredLayer, measure_layer
from confidential_summarizer.measurement.limits import CPU_SECONDS, IN_THREAD, BeyondLimits
from confidential_summarizer.registry import ImageSource, LayerDescriptor, ResolvedImage

_INLINE = 8 << 20
"""Bytes of a stored layer up to which a thread here is quicker than starting a process."""


@dataclass(frozen=True)
class MeasuredImage:
    """An image and what was measured of each of its layers, base first."""

    image: ResolvedImage
    details: tuple[MeasuredLayer, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The root hash of each layer, base first: 64 hex digits each."""
        return tuple(layer.root_hash for layer in self.details)


Measure = Callable[[str], Awaitable[MeasuredImage]]
"""Resolves and measures the image of a reference; raises as `Measurer.measure` does."""


@dataclass(frozen=True)
class LayerProgress:
    """How far one layer is, in bytes as stored."""

    image: str
    layer: str
    done: int
    total: int
    cached: bool = False


Progress = Callable[[LayerProgress], None]


class Measurer:
    """Measures images from any source, as many layers at once as there are cores.

    Args:
        cache: Root hashes by diff_id; asked first, and given what is measured here. By default the command line's.
        progress: Told how far each layer is.
        at_once: Layers that are measured at the same time at most; by default as many as there are cores.
    """

    def __init__(
        self, cache: LayerCache | None = None, progress: Progress | None = None, *, at_once: int | None = None
    ) -> None:
        self._cache = DiskCache() if cache is None else cache
        self._progress = progress
        self._cores = asyncio.Semaphore(at_once or os.cpu_count() or 1)

    async def measure(self, source: ImageSource, reference: str) -> MeasuredImage:
        """Resolve an image and measure the layers that the cache does not know.

        Args:
            source: Where the image is: a `RegistryClient`, or an archive.
            reference: The image as the manifest names it.

        Raises:
            UnhashableLayer: A layer has no root hash; the message names image, layer and cause.
            ImageError: The image does not exist or cannot be used.
            IntegrityError: Bytes are not what a digest says.
            AccessDenied, TransientError: As `RegistryClient` raises them.
        """
        image = await source.resolve(reference)
        tasks: dict[str, asyncio.Task[MeasuredLayer]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                # Equal layers are read once.
                for diff_id, layer in {layer.diff_id: layer for layer in image.layers}.items():
                    tasks[diff_id] = group.create_task(self._layer(source, image, layer))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return MeasuredImage(image, tuple(tasks[layer.diff_id].result() for layer in image.layers))

    async def _layer(self, source: ImageSource, image: ResolvedImage, layer: LayerDescriptor) -> MeasuredLayer:
        known = self._cache.get(layer.diff_id)
        if known:
            if self._progress:
                self._progress(LayerProgress(image.original, layer.digest, layer.size, layer.size, cached=True))
            return known
        async with self._cores:
            measured = await self._read(source, image, layer)
        if measured.diff_id != layer.diff_id:
            raise IntegrityError(
                f"image {image.original}, layer {layer.digest}: its tar is {measured.diff_id}, "
                f"its config says {layer.diff_id}: push the image again"
            )
        self._cache.put(measured)
        return measured

    async def _read(self, source: ImageSource, image: ResolvedImage, layer: LayerDescriptor) -> MeasuredLayer:
        stored = _reported(source.open_layer(image, layer), image, layer, self._progress)
        try:
            return await (_in_thread(stored) if layer.size <= _INLINE else _in_process(stored))
        except UnhashableLayer as error:
            raise UnhashableLayer(
                f"image {image.original}, layer {layer.digest}: no root hash exists for it ({error}). "
                "The reference tool refuses it too: rebuild the image so that this layer does not hold such an entry"
            ) from None
        except ImageError as error:
            raise ImageError(f"image {image.original}, layer {layer.digest}: {error}") from None


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
    try:
        return await asyncio.to_thread(measure_layer, stored, IN_THREAD)
    except BeyondLimits:
        return await _in_process(_again(stored))


async def _again(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _in_process(chunks: AsyncIterator[bytes]) -> MeasuredLayer:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing of the folder that csum is called in is a module
        "-m",
        "confidential_summarizer.measurement.worker",
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
        if await worker.wait() == -signal.SIGXCPU:
            raise BeyondLimits(f"measuring it takes more than {CPU_SECONDS} s: refused") from None
        raise TransientError("the process that measures a layer ended too early: try again") from error
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
    if worker.returncode == -signal.SIGXCPU:
        raise BeyondLimits(f"measuring it takes more than {CPU_SECONDS} s: refused")
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
