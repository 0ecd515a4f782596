"""Images for `csum policy`: from registries or from archives, measured with progress shown on a terminal."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from confidential_summarizer.cli.console import progress_bar
from confidential_summarizer.cli.registries import registry_client
from confidential_summarizer.measurement.cache import DiskCache, LayerCache, MemoryCache
from confidential_summarizer.measurement.image import LayerProgress, Measure, MeasuredImage, Measurer
from confidential_summarizer.registry import ImageArchive, ImageSource

_SHORT_DIGEST = 19
"""Characters of a digest in a progress line: the algorithm and 12 digits."""


@asynccontextmanager
async def measuring(archives: Sequence[Path], *, use_cache: bool = True) -> AsyncIterator[Measure]:
    """Measure images by reference: from the given archives where they hold them, else from their registries."""
    cache: LayerCache = DiskCache() if use_cache else MemoryCache()
    async with AsyncExitStack() as stack:
        sources: list[ImageSource] = [stack.enter_context(ImageArchive(path)) for path in archives]
        if not sources:
            sources = [await stack.enter_async_context(registry_client())]
        tell = stack.enter_context(progress_bar() if sys.stderr.isatty() else nullcontext(_silent))
        measurer = Measurer(cache, _progress(tell))

        async def one(reference: str) -> MeasuredImage:
            return await _first(measurer, sources, reference)

        yield one


async def _first(measurer: Measurer, sources: Sequence[ImageSource], reference: str) -> MeasuredImage:
    """The first source that holds the image; what the last one says if none does."""
    from confidential_summarizer.errors import ImageError

    for source in sources[:-1]:
        try:
            return await measurer.measure(source, reference)
        except ImageError:
            continue
    return await measurer.measure(sources[-1], reference)


def _progress(tell: Callable[[str, int, int], None]) -> Callable[[LayerProgress], None]:
    def show(layer: LayerProgress) -> None:
        tell(f"{layer.image.rpartition('/')[2][:40]} {layer.layer[:_SHORT_DIGEST]}", layer.done, layer.total)

    return show


def _silent(step: str, done: int, total: int) -> None:
    """Show nothing: stderr is no terminal."""
