"""How much one layer may cost. Whoever makes a layer is not trusted with the memory and the time of who measures it."""

import resource
import sys
from dataclasses import dataclass

from confidential_summarizer.errors import ImageError

MIB = 1 << 20
GIB = 1 << 30

MEMORY = 768 * MIB
"""Address space of a process that measures: 200 MiB are resident with 100,000 files, the rest is for libraries, a zstd
window and larger layers."""
_LAST_WORDS = 64 * MIB
"""What such a process gets in addition to say that it was not enough."""
CPU_SECONDS = 600
"""Of a process that measures: at 280 MB/s ten times the largest image that Azure Container Instances takes."""


class BeyondLimits(ImageError):
    """The layer costs more than the measurement may."""


@dataclass(frozen=True)
class Limits:
    """What a measurement may use.

    Attributes:
        size: Bytes of the tar once it is inflated.
        entries: Entries of the tar, and files that it makes, directories that it only implies included.
    """

    size: int
    entries: int

    def check_size(self, size: int) -> None:
        """Raises BeyondLimits: The tar is larger."""
        if size > self.size:
            raise BeyondLimits(f"its tar is larger than {self.size // MIB} MiB: refused")

    def check_entries(self, count: int) -> None:
        """Raises BeyondLimits: There are more."""
        if count > self.entries:
            raise BeyondLimits(f"it has more than {self.entries} files: refused, put fewer into one layer")


IN_PROCESS = Limits(size=32 * GIB, entries=1 << 20)
"""Twice the size of the largest image that Azure Container Instances takes (15 GB), and several times the files of the
largest images known."""
IN_THREAD = Limits(size=256 * MIB, entries=20_000)
"""Some 15 MiB of memory in the process that serves everybody; what needs more gets a process of its own."""


def bound_this_process() -> None:
    """Bound memory and CPU time of the process that calls; more of either is a MemoryError or its end by SIGXCPU."""
    if sys.platform == "linux":  # elsewhere programs map far more than they use
        _bound(resource.RLIMIT_AS, MEMORY, MEMORY + _LAST_WORDS)
    _bound(resource.RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 5)


def allow_last_words() -> None:
    """Give a process that ran out of memory enough to say so."""
    _bound(resource.RLIMIT_AS, MEMORY + _LAST_WORDS, MEMORY + _LAST_WORDS)


def _bound(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or keep the lower one that the process was started with."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
