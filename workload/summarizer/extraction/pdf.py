"""The text of a PDF's pages, by pypdf: pure Python; scripts, forms and attachments of the file are never looked at."""

import io
import logging
import re
from typing import Final

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from summarizer.extraction.reasons import MAX_TEXT_BYTES, Reason, Unreadable

# A word that was parted at the end of a line.
_HYPHEN: Final = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-öø-ÿ])")


def pdf_text(data: bytes) -> tuple[str, int]:
    """Return the text of the pages, and how many pages hold none.

    Raises:
        Unreadable: It is encrypted, or holds too much text.
    """
    # Its warnings quote the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data))
        # Files that only forbid printing and the like have an empty password.
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise Unreadable(Reason.ENCRYPTED)
        pages = []
        size = 0
        for page in reader.pages:
            pages.append(_HYPHEN.sub("", page.extract_text()))
            size += len(pages[-1])
            if size > MAX_TEXT_BYTES:
                raise Unreadable(Reason.TOO_MUCH_TEXT)
    except (FileNotDecryptedError, DependencyError):
        raise Unreadable(Reason.ENCRYPTED) from None
    return "\n\n".join(pages), sum(not page.strip() for page in pages)
