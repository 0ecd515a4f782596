import pytest
from hypothesis import given
from hypothesis import strategies as st

from summarizer.long_text import split_chunks, summarize_document, summarize_documents, thin_out


def count_words(texts):
    return [len(text.split()) for text in texts]


TEXTS = st.text(alphabet=st.sampled_from("aB. \n"), max_size=300)


def test_paragraphs_that_fit_together_share_a_chunk() -> None:
    assert split_chunks("One two.\n\nThree four.\n\nFive six seven.", count_words, 4) == [
        "One two. Three four.",
        "Five six seven.",
    ]


def test_a_long_paragraph_is_cut_at_its_sentences() -> None:
    assert split_chunks("One two. Three four. Five six.", count_words, 4) == ["One two. Three four.", "Five six."]


def test_a_long_sentence_is_cut_between_words() -> None:
    assert split_chunks("one two three four five", count_words, 2) == ["one two", "three", "four five"]


@given(TEXTS, st.integers(1, 20))
def test_chunks_hold_every_word_in_order_and_fit(text: str, limit: int) -> None:
    chunks = split_chunks(text, count_words, limit)
    assert " ".join(chunks).split() == text.split()
    assert all(count <= limit for count in count_words(chunks))


def test_the_longest_parts_are_left_out_but_never_the_first() -> None:
    parts = ["a b c d", "e", "f g h", "i j"]
    assert thin_out(parts, 10) == "a b c d e f g h i j"
    assert thin_out(parts, 7) == "a b c d e i j"
    assert thin_out(parts, 1) == "a b c d"
    assert thin_out([], 1) == ""


def test_a_document_of_many_parts_becomes_the_leads_of_its_parts(lead_engine) -> None:
    text = "\n\n".join(f"Lead of part {i}. " + "More words follow here. " * 4 for i in range(3))
    assert summarize_document(lead_engine, text, 100) == "Lead of part 0. Lead of part 1. Lead of part 2."


def test_very_long_documents_are_summarized_in_rounds(lead_engine) -> None:
    text = "\n\n".join(f"Lead of part {i}. " + "More words follow here. " * 4 for i in range(60))
    # 60 leads of 4 words are over three times 40; a second round keeps the lead of every chunk of five leads.
    summary = summarize_document(lead_engine, text, 40)
    assert summary.startswith("Lead of part 0. Lead of part 5.")
    assert len(summary.split()) <= 40


def test_a_text_without_words_has_an_empty_summary(lead_engine) -> None:
    assert summarize_document(lead_engine, " \n\n ", 40) == ""


def test_a_heading_goes_with_what_it_opens_and_a_list_does_not_pile_up() -> None:
    text = "One two.\n\nPart I\n\nThree four five.\n\na\n\nb\n\nc\n\nd\n\ne"
    assert split_chunks(text, count_words, 5) == ["One two.", "Part I Three four five.", "a b c d e"]


def test_a_stretch_without_blanks_is_cut_too() -> None:
    def count_characters(texts):
        return [len(text) for text in texts]

    assert split_chunks("abcdefgh", count_characters, 4) == ["abcd", "efgh"]
    assert split_chunks("租金每月一千元期限两年", count_characters, 6) == ["租金每月一", "千元期限两年"]


def test_a_summary_is_the_same_whatever_it_shares_a_batch_with(lead_engine) -> None:
    texts = [
        "\n\n".join(f"Lead {n} of {i}. " + "More words follow here. " * 4 for i in range(n)) for n in (0, 1, 30, 7)
    ]
    alone = [summarize_document(lead_engine, text, 40) for text in texts]
    assert summarize_documents(lead_engine, texts, 40) == alone
    assert alone[0] == ""


def test_the_work_can_be_ended_between_batches(lead_engine) -> None:
    checks = []

    def check() -> None:
        checks.append(True)
        if len(checks) == 3:
            raise TimeoutError

    text = "\n\n".join(f"Lead of part {i}. " + "More words follow here. " * 4 for i in range(60))
    with pytest.raises(TimeoutError):
        summarize_documents(lead_engine, [text], 40, check)
