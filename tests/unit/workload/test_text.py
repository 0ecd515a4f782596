import pytest
from hypothesis import given
from hypothesis import strategies as st

from summarizer.text import normalize, paragraphs, sentences


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Wallace came. He left.", ["Mr. Wallace came.", "He left."]),
        ("On board H.M.S. Beagle we sailed. Then we landed.", ["On board H.M.S. Beagle we sailed.", "Then we landed."]),
        ('He said "Go!" She went.', ['He said "Go!"', "She went."]),
        ("It was I. Then it ended.", ["It was I.", "Then it ended."]),
        ("Version 1.5 is out. no capital follows.", ["Version 1.5 is out. no capital follows."]),
        ("", []),
    ],
)
def test_a_sentence_ends_at_an_end_mark_that_is_no_abbreviation(paragraph: str, expected: list[str]) -> None:
    assert sentences(paragraph) == expected


def test_paragraphs_are_parted_by_blank_lines_and_put_on_one_line() -> None:
    assert paragraphs("One\nline.\n\n \n  Two\tlines.  \n") == ["One line.", "Two lines."]


@given(st.text(alphabet=st.sampled_from("aB.!?\"' \n)"), max_size=80))
def test_sentences_joined_give_the_paragraph_back(text: str) -> None:
    assert " ".join(sentences(text)) == normalize(text)
