"""How many cores and how much memory this container has: the kernel's limits for its cgroup, not the machine's."""

import os
from pathlib import Path
from typing import Final

# Control groups version 2: the container's own is the root of what it sees.
_CGROUP: Final = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Return how many cores may be used at a time, at least one: a quota of 1.5 cores is one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, int(quota) // int(period))
    except (OSError, ValueError):
        # No such file: no limit beside the processor's.
        pass
    return max(1, cores)


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Return how many bytes of memory this container may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(memory, int((cgroup / "memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return memory
