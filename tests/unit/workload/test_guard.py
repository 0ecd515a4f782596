from hypothesis import given
from hypothesis import strategies as st

from summarizer.guard import Guard, apply_guard, longest_run, shorten

DOCUMENT = "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly it ends."
WORDS = st.lists(st.text("abc", min_size=1, max_size=2), max_size=12)


def test_a_short_run_passes_in_either_mode() -> None:
    for mode in ("report", "withhold"):
        guarded = apply_guard(Guard(mode, 5, 50), "A fox is quick. It jumps over the dog.", DOCUMENT)
        assert (guarded.verdict, guarded.longest_run) == ("Passed", 3)


def test_a_long_run_is_reported_with_its_length_and_kept() -> None:
    guarded = apply_guard(Guard("report", 5, 50), "the QUICK, brown fox jumps over it", DOCUMENT)
    assert guarded == type(guarded)("the QUICK, brown fox jumps over it", "Reported", 6)


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
