"""The disclosure guard: a summary is short, and it does not hand out long stretches of the document word for word.

Two limits hold: on words in a row, and on the share of the document's letters and digits that all answers about it
repeat together. A stretch counts from `GRAM` letters in a row on (`DENSE_GRAM` in scripts without blanks), without
case, accents, blanks and punctuation; so do words in a row. Shorter pieces, paraphrases and single facts are not
bounded. In mode `report` a breach is only told; in mode `withhold` sentences are left out until both limits hold.
"""

import re
import unicodedata
from array import array
from dataclasses import dataclass, field
from typing import Final, Literal

from summarizer.card import GuardMode
from summarizer.text import DENSE, cut, join, sentences, words

Verdict = Literal["Passed", "Reported", "Withheld"]

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
GRAM: Final = 12
"""Letters in a row, about two and a half English words: shorter stretches are shared by honest summaries."""
DENSE_GRAM: Final = 5
"""The same where one character is about a word: Chinese, Japanese, Thai, Lao, Khmer, Burmese."""
# No prose has longer words; a text whose blanks were replaced is one, and would hide its copying.
_LONGEST_WORD: Final = 40
_PIECE: Final = 256
# Up to so many, single searches in C are faster than one pass in Python.
_FEW: Final = 200


@dataclass(frozen=True)
class Guard:
    """The limits a summary has to keep.

    Attributes:
        mode: What happens to a longer verbatim run.
        longest_run: Most words in a row that a summary may share with its document.
        max_words: Most words of a summary; further sentences, and at last words, are cut.
        max_share: Most percent of the document's letters that all answers together may repeat.
        shortest: Letters of the shortest document that is summarized at all when withholding.
    """

    mode: GuardMode
    longest_run: int
    max_words: int
    max_share: int = 100
    shortest: int = 0


@dataclass
class Ledger:
    """What all answers about one document have repeated so far: a one for each of its letters that is shown."""

    letters: str
    shown: bytearray = field(init=False)
    count: int = 0
    _places: "dict[str, array[int]]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shown = bytearray(len(self.letters))

    def shown_with(self, text: str) -> bytearray:
        """Return what is shown once `text` is, too."""
        letters = letters_of(text)
        shown = bytearray(self.shown)
        for size, dense in ((GRAM, False), (DENSE_GRAM, True)):
            grams = {letters[i : i + size] for i in range(len(letters) - size + 1)}
            if dense:
                grams = {gram for gram in grams if len(DENSE.findall(gram)) == size}
            self._look_up(grams, size)
            ones = b"\1" * size
            for start in (start for gram in grams for start in self._places[gram]):
                shown[start : start + size] = ones
        return shown

    def _look_up(self, grams: set[str], size: int) -> None:
        """Remember where `grams` stand; a few are searched for one by one, many in one pass over the document."""
        # In four bytes each: a document may be one letter, millions of times.
        missing = {gram: array("I") for gram in grams if gram not in self._places}
        self._places |= missing
        if len(missing) > _FEW:
            for start in range(len(self.letters) - size + 1):
                if (gram := self.letters[start : start + size]) in missing:
                    missing[gram].append(start)
            return
        for gram, places in missing.items():
            start = self.letters.find(gram)
            while start >= 0:
                places.append(start)
                start = self.letters.find(gram, start + 1)

    def add(self, text: str) -> None:
        """Count what `text` repeats."""
        self.shown = self.shown_with(text)
        self.count = self.shown.count(1)
        self._places.clear()

    def allows(self, guard: Guard, text: str) -> bool:
        """Return whether all answers with `text` keep the share, and `text` has words at all."""
        if any(len(word) > _LONGEST_WORD and not DENSE.search(word) for word in words(text)):
            return False
        if len(self.letters) < guard.shortest:
            return False
        return 100 * self.shown_with(text).count(1) <= guard.max_share * len(self.letters)


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


def apply_guard(guard: Guard, summary: str, document: str, ledger: Ledger | None = None) -> Guarded:
    """Return what of `summary` may be shown, and count it in the document's `ledger`."""
    ledger = ledger or Ledger(letters_of(document))
    short = shorten(summary, guard.max_words)
    source = [letters for word in _WORD.findall(document) if (letters := letters_of(word))]

    def fits(text: str) -> bool:
        return longest_run(source, letters_of(text)) <= guard.longest_run and ledger.allows(guard, text)

    shown = short
    verdict: Verdict = "Passed"
    if not fits(short):
        verdict = "Reported" if guard.mode == "report" else "Withheld"
    if verdict == "Withheld":
        kept: list[str] = []
        for sentence in sentences(short):
            # Judged together: two short sentences in a row can make one long run.
            if fits(join([*kept, sentence])):
                kept.append(sentence)
        shown = join(kept)
    ledger.add(shown)
    return Guarded(shown, verdict, longest_run(source, letters_of(shown)))


def letters_of(text: str) -> str:
    """Return the letters and digits of `text` in one form: NFKD, case-folded, without accents and other marks."""
    folded = _decomposed(_decomposed(text).casefold())
    return "".join(character for character in folded if character.isalnum())


def _decomposed(text: str) -> str:
    # In pieces: of marks on one letter each is put in its place among all before it, which takes hours for a million.
    # Where a piece ends only the order of such marks is another.
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    return "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)


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
        return join(kept)
    return cut(text.strip(), max_words)[0] + "…"


def longest_run(source: list[str], letters: str) -> int:
    """Return how many words in a row of a document a text repeats, however it spells and spaces them.

    Args:
        source: The letters of each word of the document.
        letters: The letters of the text.
    """
    known = {word: word in letters for word in set(source)}
    best = start = 0
    stretch = ""
    for end, word in enumerate(source, start=1):
        if not known[word]:
            start, stretch = end, ""
            continue
        stretch += word
        while stretch not in letters:
            stretch = stretch[len(source[start]) :]
            start += 1
        best = max(best, end - start)
    return best
