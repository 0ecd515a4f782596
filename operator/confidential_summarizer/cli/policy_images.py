"""Images for `csum policy`: from registries or from archives, measured with progress shown on a terminal."""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from confidential_summarizer.cli.console import progress_bar
from confidential_summarizer.cli.policy_inputs import Measure
from confidential_summarizer.policy import DiskCache, LayerCache, MeasuredImage, MemoryCache, measure
from confidential_summarizer.policy.measurement import LayerProgress
from confidential_summarizer.registry import ImageArchive, ImageSource, RegistryClient, default_credentials

_SHORT_DIGEST = 19
"""Characters of a digest in a progress line: the algorithm and 12 digits."""


@asynccontextmanager
async def measuring(archives: Sequence[Path], *, use_cache: bool = True) -> AsyncIterator[Measure]:
    """Measure images by reference: from the given archives where they hold them, else from their registries."""
    cache: LayerCache = DiskCache() if use_cache else MemoryCache()
    async with AsyncExitStack() as stack:
        sources: list[ImageSource] = [stack.enter_context(ImageArchive(path)) for path in archives]
        if not sources:
            sources = [await stack.enter_async_context(RegistryClient(default_credentials()))]
        tell = stack.enter_context(progress_bar() if sys.stderr.isatty() else nullcontext(_silent))
        shown = _progress(tell)

        async def one(reference: str) -> MeasuredImage:
            return await _first(sources, reference, cache, shown)

        yield one


async def _first(
    sources: Sequence[ImageSource], reference: str, cache: LayerCache, progress: Callable[[LayerProgress], None]
) -> MeasuredImage:
    """The first source that holds the image; what the last one says if none does."""
    from confidential_summarizer.errors import ImageError

    for source in sources[:-1]:
        try:
            return await measure(source, reference, cache, progress)
        except ImageError:
            continue
    return await measure(sources[-1], reference, cache, progress)


def _progress(tell: Callable[[str, int, int], None]) -> Callable[[LayerProgress], None]:
    def show(layer: LayerProgress) -> None:
        tell(f"{layer.image.rpartition('/')[2][:40]} {layer.layer[:_SHORT_DIGEST]}", layer.done, layer.total)

    return show


def _silent(step: str, done: int, total: int) -> None:
    """Show nothing: stderr is no terminal."""
