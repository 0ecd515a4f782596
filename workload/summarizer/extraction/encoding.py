"""Bytes to text: what the bytes say themselves, then UTF-8, then what is declared, then a guess."""

import codecs
from typing import Final

from summarizer.extraction.reasons import Reason, Unreadable

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people's programs wrote before UTF-8; among more, short texts are taken for languages that nobody writes.
_LEGACY_NAMES: Final = """
cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 koi8_r shift_jis euc_jp gb18030 big5 euc_kr
"""
_LEGACY: Final = _LEGACY_NAMES.split()
# A guess does not get better with more than this, only slower.
_SAMPLE: Final = 256 * 1024


# Those of the web's Encoding Standard beside the ones above, and the old ones of DOS: what documents declare.
_DECLARED_NAMES: Final = """
utf_8_sig utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be ascii latin_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5
iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_13 iso8859_14 iso8859_15 iso8859_16 koi8_u mac_roman
mac_cyrillic cp437 cp850 cp852 cp866 cp874 cp932 cp949 cp1258 gbk gb2312 big5hkscs iso2022_jp tis_620
"""


def load() -> None:
    """Load all that `decode` needs: afterwards no file may be to be had."""
    import charset_normalizer  # noqa: F401

    load_encodings()


def load_encodings() -> None:
    """Load every encoding that a document may be in, or the names in an archive."""
    for name in (*_LEGACY, *_DECLARED_NAMES.split()):
        codecs.lookup(name)


def decode(data: bytes, declared: str | None = None) -> str:
    """Return `data` as text.

    Args:
        data: The bytes.
        declared: The encoding that the document names; believed only if nothing says otherwise and it fits.

    Raises:
        Unreadable: It is no text in a known encoding.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data, encoding)
    if b"\0" in data:
        raise Unreadable(Reason.ENCODING)
    for encoding in filter(None, ("utf-8", declared)):
        try:
            return _strict(data, encoding)
        except Unreadable:
            continue
    return _strict(data, _guess(data))


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError, ValueError, OSError):
        # OSError: an encoding that is not loaded.
        raise Unreadable(Reason.ENCODING) from None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    # Cut at a line's end: a character of several bytes must not be torn.
    sample = data[: data.rfind(b"\n", 0, _SAMPLE) + 1] or data[:_SAMPLE] if len(data) > _SAMPLE else data
    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    if best is None:
        raise Unreadable(Reason.ENCODING)
    return best.encoding
