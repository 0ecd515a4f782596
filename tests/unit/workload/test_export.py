"""Files to take along: what the page shows and no more, inert in the program that opens them."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from summarizer.bodies import GuardReport, Summary
from summarizer.export import FORMATS, export, verdict
from summarizer.extraction.process import extract_apart
from summarizer.jobs import Length


def summary(text: str = "A short one.", name: str = "Document 1", file_system: str = "documents", **guard) -> Summary:
    return Summary(
        number=1,
        document=name,
        file_system=file_system,
        model="bart",
        length=Length.LONG,
        summary=text,
        words=3,
        source_words=600,
        unread_parts=0,
        seconds=0.5,
        finished=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        guard=GuardReport(**{"verdict": "Passed", "longest_run": 2, "limit": 30} | guard),
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_summaries_give_the_same_file(kind: str) -> None:
    file = export(kind, [summary(), summary()])
    assert file == export(kind, [summary(), summary()])
    assert file.name == f"summaries.{kind}"


def test_a_word_document_holds_the_summaries_and_can_be_read_back() -> None:
    text = extract_apart(".docx", export("docx", [summary('<w:p>&amp; "x"\x07')]).data).text
    assert 'Document 1\n\n<w:p>&amp; "x"' in text
    assert "3 words from 600 (100% shorter)" in text


def test_a_spreadsheet_calculates_nothing() -> None:
    table = csv.reader(io.StringIO(export("csv", [summary("=HYPERLINK(1)", "@sum")]).data.decode("utf-8-sig")))
    _, row = table
    assert (row[2], row[5]) == ("'@sum", "'=HYPERLINK(1)")


def test_markdown_shows_markup_as_text() -> None:
    text = export("md", [summary("![x](http://evil.example) <b>")]).data.decode()
    assert "](" not in text
    assert "\\<b\\>" in text


def test_what_lies_in_several_file_systems_is_told_apart() -> None:
    alone, both = [summary()], [summary(), summary(file_system="sales")]
    assert "sales" not in export("md", alone).data.decode()
    assert "(sales)" in export("md", both).data.decode().replace("\\", "")
    assert "(sales)" in extract_apart(".docx", export("docx", both).data).text
    rows = csv.DictReader(io.StringIO(export("csv", both).data.decode("utf-8-sig")))
    assert [row["fileSystem"] for row in rows] == ["documents", "sales"]


def test_json_has_the_fields_of_the_api() -> None:
    [one] = json.loads(export("json", [summary()]).data)["summaries"]
    assert (one["sourceWords"], one["guard"]["longestRun"]) == (600, 2)


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        ({}, "passed the disclosure guard"),
        ({"verdict": "Reported", "longest_run": 42}, "repeats the document for 42 words in a row (limit 30)"),
        ({"verdict": "Reported"}, "repeats the document for more than its share of letters"),
        ({"verdict": "Withheld"}, "sentences withheld by the disclosure guard"),
    ],
)
def test_the_verdict_is_told_in_words(guard: dict, words: str) -> None:
    assert verdict(summary(**guard)) == words
