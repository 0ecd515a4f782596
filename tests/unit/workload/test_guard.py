import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from summarizer import guard
from summarizer.guard import DENSE_GRAM, GRAM, Guard, Ledger, apply_guard, letters_of, longest_run, shorten
from summarizer.text import DENSE

DOCUMENT = "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly it ends."
WORDS = st.lists(st.text("abc", min_size=1, max_size=2), max_size=12)


def test_a_short_run_passes_in_either_mode() -> None:
    for mode in ("report", "withhold"):
        guarded = apply_guard(Guard(mode, 5, 50), "A fox is quick. It jumps over the dog.", DOCUMENT)
        assert (guarded.verdict, guarded.longest_run) == ("Passed", 3)


def test_a_long_run_is_reported_with_its_length_and_kept() -> None:
    guarded = apply_guard(Guard("report", 5, 50), "the QUICK, brown fox jumps over it", DOCUMENT)
    assert guarded == type(guarded)("the QUICK, brown fox jumps over it", "Reported", 6)


@pytest.mark.parametrize("in_document", ["'", "\u2019"])
@pytest.mark.parametrize("in_summary", ["'", "\u2019"])
def test_the_form_of_an_apostrophe_breaks_no_run(in_document: str, in_summary: str) -> None:
    document, summary = (f"She said they don{mark}t pay before May." for mark in (in_document, in_summary))
    guarded = apply_guard(Guard("withhold", 5, 50), summary, document)
    assert (guarded.summary, guarded.verdict) == ("", "Withheld")
    assert apply_guard(Guard("report", 5, 50), summary, document).longest_run == 7


@pytest.mark.parametrize(("allowed", "verdict"), [(8, "Passed"), (7, "Withheld")])
def test_a_run_of_just_the_length_that_is_allowed_passes(allowed: int, verdict: str) -> None:
    summary = "Pack my box with five dozen liquor jugs."
    assert apply_guard(Guard("withhold", allowed, 50), summary, DOCUMENT).verdict == verdict


def test_a_summary_of_just_the_words_that_are_allowed_is_kept_whole() -> None:
    assert apply_guard(Guard("report", 5, 4), "One two. Three four.", DOCUMENT).summary == "One two. Three four."
    assert apply_guard(Guard("report", 5, 3), "One two. Three four.", DOCUMENT).summary == "One two."
    assert shorten("One two three.", 3) == "One two three."
    assert shorten("One two three four.", 1) == "One\u2026"


@pytest.mark.parametrize(("share", "verdict"), [(50, "Passed"), (49, "Withheld")])
def test_just_the_share_of_a_document_that_is_allowed_passes(share: int, verdict: str) -> None:
    document = "abcdefghijkl mnopqrstuvwx"
    assert apply_guard(Guard("withhold", 5, 50, share), "abcdefghijkl", document).verdict == verdict


@pytest.mark.parametrize(("shortest", "verdict"), [(24, "Passed"), (25, "Withheld")])
def test_a_document_of_just_the_length_that_is_summarized_is(shortest: int, verdict: str) -> None:
    guard = Guard("withhold", 5, 50, shortest=shortest)
    assert apply_guard(guard, "something else", "abcdefghijkl mnopqrstuvwx").verdict == verdict


@pytest.mark.parametrize(("letters", "verdict"), [(40, "Passed"), (41, "Withheld")])
def test_no_word_is_longer_than_words_are(letters: int, verdict: str) -> None:
    assert apply_guard(Guard("withhold", 5, 50), "x" * letters, DOCUMENT).verdict == verdict


def test_withholding_leaves_out_only_the_sentences_that_copy() -> None:
    summary = "A fable of a fox. Pack my box with five dozen liquor jugs. It ends well."
    guarded = apply_guard(Guard("withhold", 5, 50), summary, DOCUMENT)
    assert guarded.summary == "A fable of a fox. It ends well."
    assert guarded.verdict == "Withheld"
    assert guarded.longest_run <= 5


def test_short_copied_sentences_in_a_row_do_not_add_up_to_a_long_run() -> None:
    document = "One two three. Four five six. Seven eight nine."
    guarded = apply_guard(Guard("withhold", 5, 50), document, document)
    assert guarded.summary == "One two three. Seven eight nine."


def test_a_summary_that_only_copies_is_withheld_whole() -> None:
    guarded = apply_guard(Guard("withhold", 5, 50), "Pack my box with five dozen liquor jugs.", DOCUMENT)
    assert (guarded.summary, guarded.verdict, guarded.longest_run) == ("", "Withheld", 0)


def test_a_summary_is_cut_at_sentences_to_the_words_allowed() -> None:
    assert shorten("One two. Three four. Five six.", 5) == "One two. Three four."
    assert shorten("One two three four.", 3) == "One two three…"
    assert shorten("  ", 3) == ""


@given(WORDS, st.text("abc", max_size=12))
def test_the_longest_run_is_that_of_a_search_through_all_runs(source: list[str], letters: str) -> None:
    runs = [source[i:j] for i in range(len(source)) for j in range(i + 1, len(source) + 1)]
    assert longest_run(source, letters) == max((len(run) for run in runs if "".join(run) in letters), default=0)


@given(st.text(alphabet=st.sampled_from("aB. "), max_size=60), st.text(alphabet=st.sampled_from("aB. "), max_size=60))
def test_nothing_that_is_withheld_leaves_a_run_over_the_limit(summary: str, document: str) -> None:
    guarded = apply_guard(Guard("withhold", 2, 10), summary, document)
    assert guarded.longest_run <= 2


def repeats(document: str, text: str) -> set[int]:
    """The positions of a document that a text repeats, looked for letter by letter."""
    letters, found = letters_of(document), set()
    for size, dense in ((GRAM, False), (DENSE_GRAM, True)):
        for start in range(len(letters) - size + 1):
            gram = letters[start : start + size]
            if gram in letters_of(text) and (not dense or all(map(DENSE.match, gram))):
                found.update(range(start, start + size))
    return found


@settings(max_examples=50, deadline=None)
@given(st.data(), st.text("ab的一", min_size=20, max_size=60), st.sampled_from([0, 200]))
def test_an_answer_repeats_what_a_search_letter_by_letter_finds_and_that_counts_once(
    data: st.DataObject, document: str, few: int
) -> None:
    """However the positions are looked for: one by one, or many in one pass."""
    starts = data.draw(st.lists(st.integers(0, len(document)), max_size=3))
    answers = [document[start : start + data.draw(st.integers(0, 30))] for start in starts]
    ledger, before = Ledger(letters_of(document)), set[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "_FEW", few)
        for answer in answers:
            before |= repeats(document, answer)
            assert {i for i, is_shown in enumerate(ledger.shown_with(answer)) if is_shown} == before
            ledger.add(answer)
            assert ledger.count == len(before)
            assert ledger.shown_with(answer) == ledger.shown


@pytest.mark.parametrize(
    ("document", "text", "repeated"),
    [("abcdefghijkl mno abcdefghijkl pqr abcdefghijkl", "abcdefghijkl", 36), ("a" * 14, "a" * 12, 14)],
)
def test_what_a_document_says_several_times_is_repeated_at_every_place(document: str, text: str, repeated: int) -> None:
    assert Ledger(letters_of(document)).shown_with(text).count(1) == repeated
