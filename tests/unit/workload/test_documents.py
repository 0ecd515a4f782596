"""Which files are documents, what they give, and what is said of those that give nothing."""

import pytest

from summarizer.documents import read_documents
from summarizer.errors import DocumentsError
from summarizer.extraction.reasons import Reason


def test_texts_are_read_in_order_and_the_rest_is_counted(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "sub" / "c.TXT").write_text("third")
    (tmp_path / "d.exe").write_bytes(b"MZ")
    (tmp_path / ".hidden.txt").write_text("hidden")
    found = read_documents(tmp_path)
    assert [(document.number, document.text) for document in found.readable] == [
        (1, "first"),
        (2, "second"),
        (3, "third"),
    ]
    assert found.others == 2  # d.exe, .hidden.txt


def test_what_cannot_be_read_keeps_its_number_and_has_a_reason(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("  \n")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    (tmp_path / "d.txt").write_text("readable")
    found = read_documents(tmp_path)
    assert [(document.number, document.reason) for document in found.documents] == [
        (1, Reason.EMPTY),
        (2, Reason.ENCODING),
        (3, Reason.BROKEN),
        (4, None),
    ]


def test_reading_tells_how_far_it_is(tmp_path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("text")
    told: list[tuple[int, int]] = []
    read_documents(tmp_path, report=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_mount_point_itself_may_be_a_link(tmp_path) -> None:
    (tmp_path / ".filesystem-0").mkdir()
    (tmp_path / ".filesystem-0" / "a.txt").write_text("text")
    (tmp_path / "documents").symlink_to(".filesystem-0")
    assert len(read_documents(tmp_path / "documents").documents) == 1


def test_no_document_at_all_is_an_error_without_names(tmp_path) -> None:
    (tmp_path / "merger-with-contoso.pdf").write_bytes(b"%PDF")
    with pytest.raises(DocumentsError) as caught:
        read_documents(tmp_path)
    assert "contoso" not in str(caught.value)
    assert "1 other files" in str(caught.value)


def test_a_document_does_not_show_itself_in_a_log(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("the secret")
    assert "secret" not in repr(read_documents(tmp_path))
