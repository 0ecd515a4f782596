"""What a process gives up, so that whoever takes it over has little: by the kernel's own means, for every user.

Processes of one user may read and trace each other. The one that serves holds the key of the page and all texts; each
that parses a document holds only that.
"""

import ctypes
import os
import resource
import sys
from typing import Final

# prctl(2)
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def close_memory() -> None:
    """Let no other process of this user read this one's memory, trace or dump it, and gain no privilege by a program.

    A program that is executed afterwards begins open again, unless this user may not read its file.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def close_everything() -> None:
    """After `close_memory`, open nothing more, for good: no file, connection or process. What is open stays open."""
    close_memory()
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        sys.exit(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}")
