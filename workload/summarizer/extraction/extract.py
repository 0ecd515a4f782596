"""The text of one document, in this process. Only `python -m summarizer.extraction` calls it, within its limits.

A format is one row of `FORMATS`. The parsers are memory-safe (Python's own, or pure Python), run no code of a document
and fetch nothing. Each is imported only where it is needed: most of the time that one document takes is imports. All
that it ever needs is imported then, for its process can open nothing more once it reads the document.
"""

import pkgutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
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


Reader = Callable[[bytes], Extract]


def _whole(package: str) -> None:
    """Import a package with what it would import only for some documents; what it can do without is left out."""
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        with suppress(ImportError):
            import_module(module.name)


def _plain() -> Reader:
    from summarizer.extraction import encoding

    encoding.load()
    return lambda data: Extract(encoding.decode(data))


def _html() -> Reader:
    from summarizer.extraction import encoding, html

    encoding.load()
    return lambda data: Extract(html.html_text(data))


def _pdf() -> Reader:
    from summarizer.extraction.encoding import load_encodings
    from summarizer.extraction.pdf import pdf_text

    _whole("pypdf")
    load_encodings()
    return lambda data: Extract(*pdf_text(data))


def _docx() -> Reader:
    from summarizer.extraction.encoding import load_encodings
    from summarizer.extraction.office import docx_text

    load_encodings()
    return lambda data: Extract(docx_text(data))


def _odt() -> Reader:
    from summarizer.extraction.encoding import load_encodings
    from summarizer.extraction.office import odt_text

    load_encodings()
    return lambda data: Extract(odt_text(data))


def _mail() -> Reader:
    from summarizer.extraction import encoding, mail

    _whole("email")
    encoding.load()
    return lambda data: Extract(*mail.mail_text(data))


FORMATS: Final[dict[str, Callable[[], Reader]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
    ".odt": _odt,
    ".eml": _mail,
}
"""What is read, by the ending of the name in lower case: each imports what it needs, and returns its reader."""


def extract(suffix: str, data: bytes) -> Extract:
    """Return the text of a document.

    Raises:
        Unreadable: It gives none, and why.
    """
    if not data.strip():
        raise Unreadable(Reason.EMPTY)
    try:
        found = FORMATS[suffix]()(data)
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
