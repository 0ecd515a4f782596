"""What page and API have in common: who asks for which summaries, checked, in one queue."""

from collections.abc import Iterable, Sequence
from typing import Literal

from summarizer.errors import NotOffered
from summarizer.jobs import Jobs, JobView, Length, Request
from summarizer.progress import Progress


def ask(
    progress: Progress,
    jobs: Jobs,
    owner: str,
    documents: Iterable[int] | Literal["all"],
    models: Sequence[str] | None,
    length: Length,
    file_system: str | None = None,
) -> JobView:
    """Put what a reader asks for into the queue.

    Args:
        progress: Where the documents and models are listed.
        jobs: The queue.
        owner: Who asks: the peer's address.
        documents: Numbers, or `all` that can be read.
        models: Names; the default one if None or empty.
        length: How long.
        file_system: Only documents of it are there; of all where None.

    Raises:
        NotOffered: A document, model or file system is not there, or nothing is yet.
        Busy: There are too many jobs.
    """
    snapshot = progress.snapshot
    if not snapshot.readable:
        raise NotOffered("there are no documents to summarize yet: /api/status says why")
    readable = {one.number for one in snapshot.readable if file_system in (None, one.file_system)}
    if not readable:
        raise NotOffered("there is no file system of this name with documents: GET /api/documents lists them")
    numbers = readable if documents == "all" else set(documents)
    if unknown := sorted(numbers - readable):
        raise NotOffered(f"document {unknown[0]} is not there or cannot be read: GET /api/documents lists them")
    offered = [model.name for model in snapshot.models]
    names = models or offered[:1]
    if strange := sorted(set(names) - set(offered)):
        # Never the name itself: it could be anything.
        raise NotOffered(f"{len(strange)} of the models are not offered: GET /api/models lists them")
    return jobs.submit(owner, (Request(number, name, length) for number in numbers for name in names))
