"""Paragraphs, sentences and words of plain prose in any script, without a language model.

The same splitter prepares the training text of the demo models and the documents, so that a model sees at work
what it saw in training.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

# A full stop after one of these does not end a sentence.
_ABBREVIATION_WORDS: Final = """
mr mrs ms dr st prof rev hon gen col capt lt sen rep gov no nos vol vols fig figs art arts sec ch chap pp ed eds
vs viz cf etc e.g i.e a.m p.m u.s u.k inc ltd co corp jan feb mar apr jun jul aug sept sep oct nov dec
bzw evtl ggf vgl nr z.b d.h u.a mme mlle sra srta
"""
_ABBREVIATIONS: Final = frozenset(_ABBREVIATION_WORDS.split())
_PARAGRAPH_BREAK: Final = re.compile(r"\n[ \t]*\n\s*")
_CLOSERS: Final = r"""["'\u201d\u2019\u00bb\u203a)\]\u300d\u300f\uff09\u3011\u300b]*"""
# End marks of Unicode's property Sentence_Terminal. Those of Chinese and Japanese stand without a blank; the others
# need white space after them.
_FULL_WIDTH: Final = "\u3002\uff01\uff1f\uff61"
_SPACED: Final = r".!?\u2026\u061f\u06d4\u0964\u0965\u0589\u1362\u1367\u1368\u17d4\u104b"
# From its first mark on alone: a run of dots would otherwise be tried from each of them.
_SENTENCE_END: Final = re.compile(rf"[{_FULL_WIDTH}]+{_CLOSERS}\s*|(?<![{_SPACED}])[{_SPACED}]+{_CLOSERS}\s+")
_INITIALS: Final = re.compile(r"(?:[A-Z]\.)*[A-Z]")
# Of a text that is read backwards, for which it takes one look at each character.
_LAST_WORD: Final = re.compile(r"[\"'\u201d\u2019\u00bb)\]]*\.((?:[^\W\d_]|\.)*[^\W\d_])")
_OPENERS: Final = "\"'\u201c\u2018\u00ab\u2039([\u00bf\u00a1\u201e\u300c\u300e"

DENSE: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
"""A character of a script without blanks, where one is about a word: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
# A dense character, or a stretch of others.
_WORD: Final = re.compile(rf"{DENSE.pattern}|[^\s{DENSE.pattern[1:-1]}]+")


def normalize(text: str) -> str:
    """Return `text` with each run of white space as one blank, and none at the ends."""
    return " ".join(text.split())


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of `text` (parted by blank lines), each normalized to one line; empty ones are left out."""
    parts = (normalize(part) for part in _PARAGRAPH_BREAK.split(text))
    return [part for part in parts if part]


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of one paragraph, in order; `join` makes the paragraph of them again."""
    line = normalize(paragraph)
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(line):
        if match.end() == len(line) or not _opens_sentence(line, match.end()):
            continue
        # Not all that goes before: of many abbreviations in a row each would be looked at with those before it.
        word = max(start, line.rfind(" ", start, match.start()) + 1)
        if _ends_in_abbreviation(line[word : match.end()].rstrip()):
            continue
        found.append(line[start : match.end()].rstrip())
        start = match.end()
    if start < len(line):
        found.append(line[start:])
    return found


def join(parts: Sequence[str]) -> str:
    """Return `parts` as running text: with a blank between two, except after a full-width end mark without one."""
    text = ""
    for part in parts:
        blank = " " if text and not (_is_full_width(text) and DENSE.match(part.lstrip(_OPENERS))) else ""
        text += blank + part
    return text


def words(text: str) -> list[str]:
    """Return the words of `text`: what stands between white space, and each character of a script without blanks."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """Return the number of words of `text`."""
    return sum(1 for _ in _WORD.finditer(text))


def cut(text: str, count: int) -> tuple[str, str]:
    """Return `text` up to the end of its word number `count`, and the rest; white space between them is dropped."""
    place = len(text)
    for number, match in enumerate(_WORD.finditer(text), start=1):
        if number == count:
            place = match.end()
            break
    return text[:place], text[place:].lstrip()


def is_heading(paragraph: str) -> bool:
    """Tell whether a paragraph opens what follows: it is short, and has no end mark."""
    last = paragraph.rstrip("\"'\u201d\u2019\u00bb)]")[-1:]
    return count_words(paragraph) <= 12 and unicodedata.category(last or " ") not in ("Po", "Pf")


def _opens_sentence(line: str, place: int) -> bool:
    """Tell whether a sentence can begin at `place`: a capital, a digit, or a letter of a script without capitals."""
    opening = line[place : place + 3].lstrip(_OPENERS)[:1]
    return unicodedata.category(opening or "a") in ("Lu", "Lt", "Lo", "Nd")


def _is_full_width(text: str) -> bool:
    match = re.search(rf"[{_FULL_WIDTH}]{_CLOSERS}$", text)
    return match is not None


def _ends_in_abbreviation(text: str) -> bool:
    match = _LAST_WORD.match(text[::-1])
    if match is None:
        return False
    word = match.group(1)[::-1]
    if _INITIALS.fullmatch(word):
        return word != "I"
    return word.lower() in _ABBREVIATIONS
