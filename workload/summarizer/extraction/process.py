"""One process for one document: it holds no other document, no key and no environment, and ends at its limits."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from summarizer.extraction.extract import Extract
from summarizer.extraction.reasons import MAX_FILE_BYTES, MAX_TEXT_BYTES, Reason, Unreadable

# Read as text without any parser where it is plain UTF-8.
_PLAIN: Final = frozenset({".txt", ".md"})


@dataclass(frozen=True)
class Limits:
    """What one document may take.

    Attributes:
        memory: Bytes of address space: a PDF of 64 MiB with its objects fits.
        seconds: Of processor time, and twice that by the clock.
    """

    memory: int = 768 * 1024 * 1024
    seconds: int = 60


def extract_apart(suffix: str, data: bytes, limits: Limits = Limits()) -> Extract:
    """Return the text of a document.

    Args:
        suffix: One of `FORMATS`.
        data: The document, from memory.
        limits: What it may take.

    Raises:
        Unreadable: It gives no text within the limits, and why.
    """
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(Reason.HUGE)
    if suffix in _PLAIN and (text := _utf8(data)) is not None:
        return Extract(text)
    with _memory_file(data) as document, _memory_file(b"") as answer:
        # -P: nothing of the working directory is imported.
        command = [sys.executable, "-P", "-B", "-m", "summarizer.extraction"]
        process = subprocess.Popen(
            [*command, suffix, str(limits.memory), str(limits.seconds)],
            stdin=document,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"},
            close_fds=True,
        )
        try:
            status = process.wait(2 * limits.seconds)
        except subprocess.TimeoutExpired:
            raise Unreadable(Reason.TOO_SLOW) from None
        finally:
            process.kill()
            process.wait()
        answer.seek(0)
        return _parse(status, answer.read())


def _utf8(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    if not text.strip():
        raise Unreadable(Reason.EMPTY)
    if len(data) > MAX_TEXT_BYTES:
        raise Unreadable(Reason.TOO_MUCH_TEXT)
    return text


def _memory_file(data: bytes) -> BinaryIO:
    """Return a file in memory alone, at its start."""
    file = os.fdopen(os.memfd_create("document", os.MFD_CLOEXEC), "w+b", buffering=0)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file


def _parse(status: int, answer: bytes) -> Extract:
    """Read the process's answer, which a document may have got hold of: nothing but a text or a known reason counts."""
    if status < 0:
        # Ended by the kernel, at its limit of processor time.
        raise Unreadable(Reason.TOO_SLOW)
    try:
        document: Any = json.loads(answer)
        if status == 0 and "reason" in document:
            raise Unreadable(Reason[document["reason"]])
        text, unread = document["text"], document["unread"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable(Reason.TOO_MUCH_MEMORY if status else Reason.BROKEN) from None
    if status or not isinstance(text, str) or not isinstance(unread, int) or not text.strip():
        raise Unreadable(Reason.BROKEN)
    return Extract(text, unread)
