"""A reader, or a model that serves one, wants more of a document than its summary."""

import pytest

from summarizer.guard import Guard, Ledger, apply_guard, letters_of

GUARD = Guard("withhold", 30, 1000, max_share=15, shortest=1000)
WORDS = [f"{first}{second}" for first in ("amber", "brick", "cedar", "delta") for second in map(str, range(100, 160))]
DOCUMENT = ". ".join(" ".join(WORDS[i : i + 28]).capitalize() for i in range(0, len(WORDS), 28)) + "."
CHINESE = "".join(chr(0x4E00 + i) for i in range(2000))


def fillers(text: str) -> str:
    return " ".join(f"{word} zzz" if i % 30 == 29 else word for i, word in enumerate(text.split()))


@pytest.mark.parametrize(
    ("summary", "document"),
    [
        (" ".join(WORDS[:26]), " ".join(WORDS[:26])),
        (". ".join(DOCUMENT.split(". ")[:8:2]), DOCUMENT),
        (fillers(DOCUMENT), DOCUMENT),
        (DOCUMENT.replace(" ", ""), DOCUMENT),
        (DOCUMENT.replace(" ", "x"), DOCUMENT),
        (CHINESE[:400], CHINESE),
        (DOCUMENT.replace("1", "\u00ad\uff11"), DOCUMENT),
    ],
    ids=["short document", "four sentences", "fillers", "no blanks", "x for blanks", "Chinese", "other code points"],
)
def test_a_copy_is_withheld_within_the_share(summary: str, document: str) -> None:
    ledger = Ledger(letters_of(document))
    guarded = apply_guard(GUARD, summary, document, ledger)
    assert guarded.verdict == "Withheld"
    assert 100 * ledger.count <= 15 * len(ledger.letters)


def test_many_small_answers_about_one_document_do_not_add_up() -> None:
    ledger = Ledger(letters_of(DOCUMENT))
    verdicts = [apply_guard(GUARD, part, DOCUMENT, ledger).verdict for part in DOCUMENT.split(". ")]
    assert (verdicts[0], verdicts[-1]) == ("Passed", "Withheld")
    assert 100 * ledger.count <= 15 * len(ledger.letters)


def test_an_honest_paraphrase_passes() -> None:
    assert apply_guard(GUARD, "Four kinds of goods are numbered.", DOCUMENT).verdict == "Passed"
