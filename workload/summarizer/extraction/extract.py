"""The text of one document, in this process. Only `python -m summarizer.extraction` calls it, within its limits.

A format is one row of `FORMATS`. The parsers are memory-safe (Python's own, or pure Python), run no code of a document
and fetch nothing. Each is imported only where it is needed: most of the time that one document takes is imports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from summarizer.extraction.reasons import MAX_TEXT_BYTES, Reason, Unreadable


@dataclass(frozen=True)
class Extract:
    """What a document gives.

    Attributes:
        text: Paragraphs, parted by blank lines.
        unread: How many parts hold no text that is read: a PDF's scanned pages, a mail's attachments.
    """

    text: str
    unread: int = 0


def _plain(data: bytes) -> Extract:
    from summarizer.extraction.encoding import decode

    return Extract(decode(data))


def _html(data: bytes) -> Extract:
    from summarizer.extraction.html import html_text

    return Extract(html_text(data))


def _pdf(data: bytes) -> Extract:
    from summarizer.extraction.pdf import pdf_text

    return Extract(*pdf_text(data))


def _docx(data: bytes) -> Extract:
    from summarizer.extraction.office import docx_text

    return Extract(docx_text(data))


def _odt(data: bytes) -> Extract:
    from summarizer.extraction.office import odt_text

    return Extract(odt_text(data))


def _mail(data: bytes) -> Extract:
    from summarizer.extraction.mail import mail_text

    return Extract(*mail_text(data))


FORMATS: Final[dict[str, Callable[[bytes], Extract]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
    ".odt": _odt,
    ".eml": _mail,
}
"""What is read, by the ending of the name in lower case."""


def extract(suffix: str, data: bytes) -> Extract:
    """Return the text of a document.

    Raises:
        Unreadable: It gives none, and why.
    """
    if not data.strip():
        raise Unreadable(Reason.EMPTY)
    try:
        found = FORMATS[suffix](data)
    except (Unreadable, MemoryError):
        raise
    except Exception:  # noqa: BLE001  whatever a parser raises on a broken document
        raise Unreadable(Reason.BROKEN) from None
    if not found.text.strip():
        raise Unreadable(Reason.EMPTY)
    # A lone surrogate is no text; it may come out of a mail's header or a PDF's font.
    text = found.text.encode("utf-8", errors="replace")
    if len(text) > MAX_TEXT_BYTES:
        raise Unreadable(Reason.TOO_MUCH_TEXT)
    return Extract(text.decode("utf-8"), found.unread)
