import pytest
from hypothesis import given
from hypothesis import strategies as st

from summarizer.text import cut, is_heading, join, normalize, paragraphs, sentences, words


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Wallace came. He left.", ["Mr. Wallace came.", "He left."]),
        ("On board H.M.S. Beagle we sailed. Then we landed.", ["On board H.M.S. Beagle we sailed.", "Then we landed."]),
        ('He said "Go!" She went.', ['He said "Go!"', "She went."]),
        ("It was I. Then it ended.", ["It was I.", "Then it ended."]),
        ("Version 1.5 is out. no capital follows.", ["Version 1.5 is out. no capital follows."]),
        ("甲方支付租金。乙方交付房屋！期限多久？两年。", ["甲方支付租金。", "乙方交付房屋！", "期限多久？", "两年。"]),
        ("彼は「終わった。」と言った。次の日に帰った。", ["彼は「終わった。」", "と言った。", "次の日に帰った。"]),
        ("يدفع المستأجر الإيجار. هل ينتهي العقد؟ نعم.", ["يدفع المستأجر الإيجار.", "هل ينتهي العقد؟", "نعم."]),
        ("किराया देय है। अनुबंध समाप्त होता है।", ["किराया देय है।", "अनुबंध समाप्त होता है।"]),
        ("Арендатор платит, и т.д. по списку. Он уходит.", ["Арендатор платит, и т.д. по списку.", "Он уходит."]),
        ("¿Quién paga? ¡El inquilino! Él firma.", ["¿Quién paga?", "¡El inquilino!", "Él firma."]),
        (
            "Der Mieter, vgl. Anlage 2, zahlt. Übergabe ist sofort.",
            ["Der Mieter, vgl. Anlage 2, zahlt.", "Übergabe ist sofort."],
        ),
        ("", []),
    ],
)
def test_a_sentence_ends_at_an_end_mark_that_is_no_abbreviation(paragraph: str, expected: list[str]) -> None:
    assert sentences(paragraph) == expected


def test_paragraphs_are_parted_by_blank_lines_and_put_on_one_line() -> None:
    assert paragraphs("One\nline.\n\n \n  Two\tlines.  \n") == ["One line.", "Two lines."]


@given(st.text(alphabet=st.sampled_from("aB.!?\"' \n)"), max_size=80))
def test_sentences_joined_give_the_paragraph_back(text: str) -> None:
    assert join(sentences(text)) == normalize(text)


def test_sentences_of_scripts_without_blanks_are_joined_without() -> None:
    text = "甲方支付租金。「乙方交付房屋。」期限两年。"
    assert join(sentences(text)) == text
    assert join(["甲方支付。", "The rent.", "乙方。"]) == "甲方支付。 The rent. 乙方。"


def test_a_character_of_a_script_without_blanks_is_a_word_as_for_the_guard() -> None:
    assert words("租金is 900元") == ["租", "金", "is", "900", "元"]
    assert words("สัญญา") == list("สัญญา")


@given(st.text(alphabet=st.sampled_from("aB. \n租。"), max_size=60), st.integers(1, 20))
def test_a_cut_keeps_the_first_words_and_loses_none(text: str, count: int) -> None:
    first, rest = cut(text, count)
    assert words(first) == words(text)[:count]
    assert words(first) + words(rest) == words(text)


def test_a_heading_is_short_and_has_no_end_mark() -> None:
    assert is_heading("Article I: Of the lease")
    assert is_heading("第一条 租金")
    assert not is_heading("The tenant pays.")
    assert not is_heading("甲方支付租金。")
    assert not is_heading("word " * 13)
