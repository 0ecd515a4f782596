"""Why a document gives no text: a closed list, so that no word of a document can stand in a message."""

from enum import StrEnum
from typing import Final

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of a file: a book with pictures, and small beside the group's memory."""
MAX_TEXT_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of a document's text in UTF-8: above any book."""


class Reason(StrEnum):
    """The reasons; the value is what readers are told."""

    EMPTY = "holds no text (a scan needs text recognition before it is sealed)"
    ENCRYPTED = "is encrypted: seal it without its password"
    BROKEN = "cannot be read as what its name says it is: open it in its program and save it anew"
    ENCODING = "is no text in a known encoding: save it in UTF-8"
    HUGE = "is larger than 64 MiB: seal it in parts"
    TOO_MUCH_TEXT = "holds more than 8 MiB of text: seal it in parts"
    TOO_SLOW = "takes too long to read: save it in a simpler form, as .txt for example"
    TOO_MUCH_MEMORY = "needs too much memory to read: save it in a simpler form, as .txt for example"


class Unreadable(Exception):
    """A document gives no text, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
