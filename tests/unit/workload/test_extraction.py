"""The text of each kind of document, as its readers would see it."""

import io
import random
from email.message import EmailMessage

import pytest
from pypdf import PdfReader, PdfWriter

from summarizer.extraction.extract import FORMATS, Extract, extract
from summarizer.extraction.process import extract_apart
from summarizer.extraction.reasons import Reason, Unreadable
from tests.support.documents import archive, docx, odt, paragraph, pdf, run

RUSSIAN = (
    "Арендатор платит девятьсот евро в месяц. Договор действует до конца года и продлевается сам. Стороны обязуются "
    "сообщать друг другу обо всех изменениях в письменной форме."
)
GERMAN = (
    "Der Mieter zahlt für die Räume neunhundert Euro; fällig ist die Miete früh im Monat. Über Änderungen der Höhe müssen "
    "beide Seiten schriftlich übereinkommen. Schäden sind unverzüglich zu melden; für größere haftet der Vermieter."
)


def reason(suffix: str, data: bytes) -> Reason:
    with pytest.raises(Unreadable) as caught:
        extract_apart(suffix, data)
    return caught.value.reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "windows-1251", "koi8-r"])
def test_a_text_is_read_in_the_encoding_it_is_in(encoding: str) -> None:
    assert extract_apart(".txt", RUSSIAN.encode(encoding)).text == RUSSIAN


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        ("この契約は、甲と乙の間で締結される。賃料は月額十万円とする。期間は二年とする。", "shift_jis"),
        ("本合同由甲方和乙方签订。租金为每月一千元。期限为两年。双方应当遵守本合同。", "gb18030"),
        ("이 계약은 갑과 을 사이에 체결된다. 임대료는 매월 백만 원으로 한다. 기간은 이 년으로 한다.", "euc_kr"),
    ],
)
def test_legacy_encodings_are_recognized(text: str, encoding: str) -> None:
    assert extract_apart(".txt", text.encode(encoding)).text == text


def test_bytes_that_are_no_text_are_told() -> None:
    assert reason(".txt", bytes(range(256)) * 8) is Reason.ENCODING
    assert reason(".txt", b"text\0with a zero") is Reason.ENCODING
    assert reason(".md", b"\xff\xfe\x00") is Reason.ENCODING


def test_of_a_page_only_what_a_browser_shows_is_text() -> None:
    page = (
        "<!doctype html><title>Lease</title><script>steal()</script><style>p {color: red}</style>"
        "<body><!-- a comment --><h1>Rent</h1><p>Nine hundred<br>euros &amp; more.<template>no</template>"
        "<table><tr><td>a<td>b</table><p hidden>shown in print"
    )
    text = extract_apart(".html", page.encode()).text
    assert [" ".join(part.split()) for part in text.split("\n\n") if part.strip()] == [
        "Lease",
        "Rent",
        "Nine hundred euros & more.",
        "a b",
        "shown in print",
    ]


def test_a_page_says_its_encoding_itself() -> None:
    page = f'<html><meta charset="windows-1251"><p>{RUSSIAN}</p></html>'
    assert RUSSIAN in extract_apart(".htm", page.encode("windows-1251")).text


def test_a_pdf_gives_its_pages_and_counts_those_without_text() -> None:
    assert extract_apart(".pdf", pdf(["The rent is due.", "", "The end."])) == Extract(
        "The rent is due.\n\n\n\nThe end.", 1
    )
    assert reason(".pdf", pdf(["", ""])) is Reason.EMPTY


def test_an_encrypted_pdf_is_read_whatever_its_random_strings_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this seed look like UTF-16, whose codec has to be there before no file can be had any more."""
    monkeypatch.setattr("secrets.token_bytes", random.Random(20).randbytes)  # noqa: S311
    writer = PdfWriter(PdfReader(io.BytesIO(pdf(["The rent is due."]))))
    writer.encrypt(user_password="", owner_password="owner", algorithm="AES-256")
    data = io.BytesIO()
    writer.write(data)
    assert extract_apart(".pdf", data.getvalue()).text == "The rent is due."


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_a_pdf_that_needs_a_password_is_told_and_one_that_only_forbids_printing_is_read(algorithm: str) -> None:
    for password, readable in (("secret", False), ("", True)):
        writer = PdfWriter(PdfReader(io.BytesIO(pdf(["The rent is due."]))))
        writer.encrypt(user_password=password, owner_password="owner", algorithm=algorithm)
        data = io.BytesIO()
        writer.write(data)
        if readable:
            assert extract_apart(".pdf", data.getvalue()).text == "The rent is due."
        else:
            assert reason(".pdf", data.getvalue()) is Reason.ENCRYPTED


def test_a_word_document_gives_paragraphs_rows_and_notes_and_nothing_that_was_deleted() -> None:
    body = (
        paragraph("Lease")
        + f"<w:p>{run('The rent')}<w:r><w:tab/><w:t xml:space='preserve'>is 900.</w:t></w:r>"
        + f"<w:del>{run('is 800.')}</w:del></w:p>"
        + f"<w:tbl><w:tr><w:tc>{paragraph('Item')}</w:tc><w:tc>{paragraph('Price')}</w:tc></w:tr></w:tbl>"
    )
    notes = f'<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">{paragraph("A note.")}</w:footnotes>'
    assert (
        extract_apart(".docx", docx(body, footnotes=notes)).text
        == "Lease\n\nThe rent is 900.\n\nItem | Price\n\nA note."
    )


def test_an_opendocument_text_gives_paragraphs_and_rows_and_no_comment() -> None:
    body = (
        "<office:text><text:h>Loan</text:h><text:p>Lent<text:s/>are <text:span>500</text:span>.<office:annotation>"
        "<text:p>a comment</text:p></office:annotation></text:p><table:table><table:table-row><table:table-cell>"
        "<text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell>"
        "</table:table-row></table:table></office:text>"
    )
    assert extract_apart(".odt", odt(body)).text == "Loan\n\nLent are 500.\n\na | b"


def test_encrypted_office_documents_are_told() -> None:
    assert reason(".odt", odt("", manifest="<encryption-data/>")) is Reason.ENCRYPTED
    stream = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    assert reason(".docx", stream) is Reason.ENCRYPTED


def test_a_mail_gives_subject_and_body_and_counts_its_attachments() -> None:
    inner = EmailMessage()
    inner["Subject"] = "The lease"
    inner.set_content("<p>The rent is <b>900</b>.</p>", subtype="html")
    mail = EmailMessage()
    mail["Subject"] = "Müllers Vertrag"
    mail.set_content("See below.")
    mail.add_attachment(inner)
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    found = extract_apart(".eml", mail.as_bytes())
    assert [part.strip() for part in found.text.split("\n\n") if part.strip()] == [
        "Müllers Vertrag",
        "See below.",
        "The lease",
        "The rent is 900.",
    ]
    assert found.unread == 1


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_each_kind_tells_what_is_empty_and_what_is_broken(suffix: str) -> None:
    assert reason(suffix, b" \n ") is Reason.EMPTY
    if suffix in (".pdf", ".docx", ".odt", ".eml"):
        assert reason(suffix, b"this is something else entirely") is Reason.BROKEN
        assert reason(suffix, archive({"other.xml": "<a/>"})) is Reason.BROKEN


def test_a_lone_surrogate_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, ".txt", lambda: lambda data: Extract("a\ud800b"))
    assert extract(".txt", b"x").text == "a?b"
