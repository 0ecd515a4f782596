"""The disclosure guard: a summary is short, and it does not hand out long stretches of the document word for word.

Words are compared without case and punctuation. In mode `report` a long verbatim run is only told; in mode
`withhold` sentences are left out until no run is longer than the limit.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from summarizer.card import GuardMode
from summarizer.text import sentences, words

Verdict = Literal["Passed", "Reported", "Withheld"]

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


@dataclass(frozen=True)
class Guard:
    """The limits a summary has to keep.

    Attributes:
        mode: What happens to a longer verbatim run.
        longest_run: Most words in a row that a summary may share with its document.
        max_words: Most words of a summary; further sentences, and at last words, are cut.
    """

    mode: GuardMode
    longest_run: int
    max_words: int


@dataclass(frozen=True)
class Guarded:
    """A summary after the guard.

    Attributes:
        summary: What may be shown; empty if everything was withheld.
        verdict: Passed as it was (or only shortened), reported as verbatim, or partly or wholly withheld.
        longest_run: Words of the longest verbatim run in `summary`.
    """

    summary: str
    verdict: Verdict
    longest_run: int


def apply_guard(guard: Guard, summary: str, document: str) -> Guarded:
    """Return what of `summary` may be shown."""
    short = shorten(summary, guard.max_words)
    source = _normal_words(document)
    run = longest_common_run(_normal_words(short), source)
    if run <= guard.longest_run:
        return Guarded(short, "Passed", run)
    if guard.mode == "report":
        return Guarded(short, "Reported", run)
    kept: list[str] = []
    for sentence in sentences(short):
        # Judged together: two short sentences in a row can make one long run.
        if longest_common_run(_normal_words(" ".join([*kept, sentence])), source) <= guard.longest_run:
            kept.append(sentence)
    safe = " ".join(kept)
    return Guarded(safe, "Withheld", longest_common_run(_normal_words(safe), source))


def shorten(text: str, max_words: int) -> str:
    """Return the leading sentences of `text` that fit `max_words`; a longer first sentence is cut with an ellipsis."""
    kept: list[str] = []
    count = 0
    for sentence in sentences(text):
        count += len(words(sentence))
        if count > max_words:
            break
        kept.append(sentence)
    if kept or not text.strip():
        return " ".join(kept)
    return " ".join(words(text)[:max_words]) + " …"


def longest_common_run(first: list[str], second: list[str]) -> int:
    """Return the length of the longest run of words that stands in both lists (dynamic programming, one row)."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(second):
        places.setdefault(word, []).append(place)
    best = 0
    previous: dict[int, int] = {}
    for word in first:
        current = {place: previous.get(place - 1, 0) + 1 for place in places.get(word, ())}
        best = max(best, max(current.values(), default=0))
        previous = current
    return best


def _normal_words(text: str) -> list[str]:
    return [match.group().lower().replace("\u2019", "'") for match in _WORD.finditer(text)]
