"""The summaries as a file in a sealed, writable file system, for whoever holds its key."""

import json
import os
from pathlib import Path
from typing import Any, Final

from summarizer.errors import OutputError

OUTPUT_NAME: Final = "summaries.json"


def write_output(directory: Path, body: dict[str, Any]) -> None:
    """Write `body` to `directory`/summaries.json, whole or not at all, and wait until it is in the file system.

    Raises:
        OutputError: The file system cannot be written.
    """
    temporary = directory / f".{OUTPUT_NAME}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(body, file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / OUTPUT_NAME)
    except OSError as error:
        raise OutputError(
            f"the summaries cannot be written to {directory} ({error.strerror}): the file system has to be read-write "
            f"and its root folder writable by user {os.geteuid()}"
        ) from None
