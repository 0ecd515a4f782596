"""Summaries as a file to take along: never more than the page shows."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from summarizer.bodies import Summary

FORMATS: Final = ("md", "docx", "json", "csv")

_MEDIA: Final = {
    "md": "text/markdown; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}
_VERDICTS: Final = {
    "Passed": "passed the disclosure guard",
    "Reported": "repeats the document",
    "Withheld": "sentences withheld by the disclosure guard",
}
# Characters at which spreadsheets begin to calculate.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS: Final = (
    *("number", "fileSystem", "document", "model", "length"),
    *("summary", "words", "sourceWords", "seconds", "finished", "verdict"),
)
# ECMA-376 part 1: what the smallest document needs.
_TYPES: Final = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS: Final = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_DOCUMENT: Final = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document '
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>'
)
# Readers of Markdown look for these in what they show, too, and make links of what follows; not behind a word joiner.
_LINKED: Final = re.compile("https?:|www|@", re.IGNORECASE)
# The oldest time that an archive can hold: the same summaries give the same file.
_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class File:
    """A file to download."""

    name: str
    media_type: str
    data: bytes


def export(kind: str, summaries: Sequence[Summary]) -> File:
    """Return summaries as a file of one of `FORMATS`."""
    data = {"md": _markdown, "docx": _docx, "json": _json, "csv": _csv}[kind](summaries)
    return File(f"summaries.{kind}", _MEDIA[kind], data)


def plain(text: str) -> str:
    """Return text as Markdown that shows it, without markup, math, links or directives of streamlit's."""
    joined = _LINKED.sub("\\g<0>\u2060", text)
    return "".join(f"\\{character}" if character in "\\`*_{}[]()<>#+-.!|~$:&" else character for character in joined)


def facts(summary: Summary) -> str:
    """Return in one line what a summary is of and what the guard found."""
    reduction = 100 - round(100 * summary.words / summary.source_words) if summary.source_words else 0
    return (
        f"{summary.words:,} words from {summary.source_words:,} ({reduction}% shorter), {summary.length} by "
        f"{summary.model} in {summary.seconds:.1f} s, {summary.finished:%Y-%m-%d %H:%M} UTC"
    )


def verdict(summary: Summary) -> str:
    """Return the guard's verdict in words."""
    text = _VERDICTS[summary.guard.verdict]
    if summary.guard.verdict == "Reported" and summary.guard.longest_run <= summary.guard.limit:
        text += " for more than its share of letters"
    if summary.guard.longest_run > summary.guard.limit:
        text += f" for {summary.guard.longest_run} words in a row (limit {summary.guard.limit})"
    return text


def _json(summaries: Sequence[Summary]) -> bytes:
    body = [summary.model_dump(mode="json", by_alias=True) for summary in summaries]
    return json.dumps({"summaries": body}, ensure_ascii=False, indent=2).encode() + b"\n"


def _markdown(summaries: Sequence[Summary]) -> bytes:
    parts = ["# Confidential summaries\n"]
    for summary in summaries:
        text = summary.summary or "The disclosure guard withheld this summary."
        title = plain(_title(summary, summaries))
        parts.append(f"## {title}\n\n{plain(text)}\n\n*{facts(summary)}; {verdict(summary)}*\n")
    return "\n".join(parts).encode()


def _csv(summaries: Sequence[Summary]) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    for one in summaries:
        what = (one.number, one.file_system, one.document, one.model, one.length)
        made = (one.summary, one.words, one.source_words, one.seconds, one.finished.isoformat(), verdict(one))
        writer.writerow([_inert(cell) for cell in (*what, *made)])
    # With a mark, or spreadsheets take it for the encoding of the machine.
    return table.getvalue().encode("utf-8-sig")


def _docx(summaries: Sequence[Summary]) -> bytes:
    body = [_paragraph("Confidential summaries", size=36, bold=True)]
    for summary in summaries:
        text = summary.summary or "The disclosure guard withheld this summary."
        body.append(_paragraph(_title(summary, summaries), size=28, bold=True))
        body.append(_paragraph(text, size=22))
        body.append(_paragraph(f"{facts(summary)}; {verdict(summary)}", size=18))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("[Content_Types].xml", _TYPES),
            ("_rels/.rels", _RELATIONS),
            ("word/document.xml", _DOCUMENT.format("".join(body))),
        ):
            archive.writestr(zipfile.ZipInfo(name, _TIME), content)
    return data.getvalue()


def _title(summary: Summary, summaries: Sequence[Summary]) -> str:
    """Return what a summary is of, with the file system where those of several are together."""
    several = any(one.file_system != summary.file_system for one in summaries)
    return f"{summary.document} ({summary.file_system})" if several else summary.document


def _paragraph(text: str, *, size: int, bold: bool = False) -> str:
    """Return a paragraph; `size` in half points."""
    printable = "".join(character for character in text if character.isprintable() or character == " ")
    style = f'<w:rPr>{"<w:b/>" if bold else ""}<w:sz w:val="{size}"/></w:rPr>'
    return f'<w:p><w:r>{style}<w:t xml:space="preserve">{escape(printable)}</w:t></w:r></w:p>'


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
