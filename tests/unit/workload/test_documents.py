import pytest

from summarizer.documents import read_documents
from summarizer.errors import DocumentsError


def test_texts_are_read_in_order_and_the_rest_is_counted(tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "sub" / "c.TXT").write_text("third")
    (tmp_path / "d.pdf").write_bytes(b"%PDF")
    (tmp_path / "f.txt").write_text("  \n")
    (tmp_path / ".hidden.txt").write_text("hidden")
    found = read_documents(tmp_path)
    assert [document.text for document in found.documents] == ["first", "second", "third"]
    assert found.skipped == 3  # d.pdf, f.txt, .hidden.txt


def test_a_document_that_is_no_utf8_is_an_error_with_its_number(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "merger.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DocumentsError, match="file 2 of the documents") as caught:
        read_documents(tmp_path)
    assert "merger" not in str(caught.value)


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
