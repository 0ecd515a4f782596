"""The text of .docx and .odt: XML in a ZIP archive, read as a stream by expat; macros and links are never looked at.

Sources: ECMA-376 part 1, sections 17 (WordprocessingML) and 22; OpenDocument 1.3 part 3, sections 5 and 6.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from summarizer.extraction.reasons import MAX_TEXT_BYTES, Reason, Unreadable

# What a document's XML may unpack to: far above a book's, and read as a stream.
_MAX_XML: Final = 256 * 1024 * 1024
_CHUNK: Final = 64 * 1024
# An encrypted .docx is an OLE file with this stream (MS-OFFCRYPTO 1.3), its name in UTF-16.
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")

_W: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_W_STRICT: Final = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_MC: Final = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_TEXT: Final = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_TABLE: Final = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
_OFFICE: Final = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"


@dataclass(frozen=True)
class _Vocabulary:
    """What the elements of a format mean; each name is `namespace local`.

    Attributes:
        paragraphs: A paragraph or heading.
        text: Elements whose characters count; empty means all inside a paragraph.
        skipped: Elements that are left out with all they hold: deleted text, comments, second renderings.
        marks: Elements that stand for a character.
        rows: A table's row, whose paragraphs become one line.
    """

    paragraphs: frozenset[str]
    text: frozenset[str]
    skipped: frozenset[str]
    marks: dict[str, str]
    rows: frozenset[str]


def _both(*names: str) -> frozenset[str]:
    return frozenset(f"{space} {name}" for space in (_W, _W_STRICT) for name in names)


_DOCX: Final = _Vocabulary(
    paragraphs=_both("p"),
    text=_both("t"),
    skipped=_both("del", "moveFrom") | {f"{_MC} Fallback"},
    marks=dict.fromkeys(_both("tab"), " ") | dict.fromkeys(_both("br", "cr"), "\n"),
    rows=_both("tr"),
)
_ODT: Final = _Vocabulary(
    paragraphs=frozenset({f"{_TEXT} p", f"{_TEXT} h"}),
    text=frozenset(),
    skipped=frozenset({f"{_TEXT} tracked-changes", f"{_TEXT} note-citation", f"{_OFFICE} annotation"}),
    marks={f"{_TEXT} tab": " ", f"{_TEXT} s": " ", f"{_TEXT} line-break": "\n"},
    rows=frozenset({f"{_TABLE} table-row"}),
)


@dataclass
class _Reader:
    """Gathers paragraphs from a stream of XML; what it keeps grows with the text, not with the markup."""

    words: _Vocabulary
    done: list[str] = field(default_factory=list)
    size: int = 0
    _open: list[list[str]] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _skipped: int = 0
    _counts: int = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if self._skipped or name in self.words.skipped:
            self._skipped += 1
        elif name in self.words.paragraphs:
            # A text box stands inside a paragraph: its own paragraphs come first.
            self._open.append([])
        elif name in self.words.text:
            self._counts += 1
        elif name in self.words.rows:
            self._rows.append(len(self.done))
        elif name in self.words.marks and self._open:
            self._open[-1].append(self.words.marks[name])

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name in self.words.paragraphs:
            self.done.append("".join(self._open.pop()))
        elif name in self.words.text:
            self._counts -= 1
        elif name in self.words.rows:
            first = self._rows.pop()
            self.done[first:] = [" | ".join(cell for cell in self.done[first:] if cell.strip())]

    def characters(self, data: str) -> None:
        if self._skipped or not self._open or (self.words.text and not self._counts):
            return
        self.size += len(data)
        if self.size > MAX_TEXT_BYTES:
            raise Unreadable(Reason.TOO_MUCH_TEXT)
        self._open[-1].append(data)

    def read(self, chunks: Iterator[bytes]) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        # Neither format has one, and entities come with it.
        parser.StartDoctypeDeclHandler = _refuse_doctype
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)


def docx_text(data: bytes) -> str:
    """Return the paragraphs of a Word document, then its notes; deleted text and comments are left out.

    Raises:
        Unreadable: It is encrypted, or unpacks to too much.
    """
    if data.startswith(_OLE):
        raise Unreadable(Reason.ENCRYPTED if _ENCRYPTED_STREAM in data else Reason.BROKEN)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        reader = _Reader(_DOCX)
        reader.read(_unpack(archive, "word/document.xml"))
        for notes in ("word/footnotes.xml", "word/endnotes.xml"):
            if notes in archive.namelist():
                reader.read(_unpack(archive, notes))
    return "\n\n".join(reader.done)


def odt_text(data: bytes) -> str:
    """Return the paragraphs of an OpenDocument text; deleted text and comments are left out.

    Raises:
        Unreadable: It is encrypted, or unpacks to too much.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if b"encryption-data" in b"".join(_unpack(archive, "META-INF/manifest.xml", 1024 * 1024)):
            raise Unreadable(Reason.ENCRYPTED)
        reader = _Reader(_ODT)
        reader.read(_unpack(archive, "content.xml"))
    return "\n\n".join(reader.done)


def _unpack(archive: zipfile.ZipFile, name: str, limit: int = _MAX_XML) -> Iterator[bytes]:
    """Yield one file of the archive; its size is counted as it comes, not believed."""
    if name not in archive.namelist():
        return
    entry = archive.getinfo(name)
    if entry.flag_bits & 1:
        raise Unreadable(Reason.ENCRYPTED)
    left = limit
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise Unreadable(Reason.TOO_MUCH_TEXT)
            yield chunk


def _refuse_doctype(*_: object) -> None:
    raise Unreadable(Reason.BROKEN)
