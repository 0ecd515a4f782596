"""Paragraphs, sentences and words of plain prose, without a language model.

The same splitter prepares the training text of the demo models and the documents, so that a model sees at work
what it saw in training.
"""

import re
from typing import Final

# A full stop after one of these does not end a sentence.
_ABBREVIATION_WORDS: Final = """
mr mrs ms dr st prof rev hon gen col capt lt sen rep gov no nos vol vols fig figs art arts sec ch chap pp ed eds
vs viz cf etc e.g i.e a.m p.m u.s u.k inc ltd co corp jan feb mar apr jun jul aug sept sep oct nov dec
"""
_ABBREVIATIONS: Final = frozenset(_ABBREVIATION_WORDS.split())
_PARAGRAPH_BREAK: Final = re.compile(r"\n[ \t]*\n\s*")
# An end mark, closing quotes or brackets, white space, then something that can open a sentence.
_SENTENCE_END: Final = re.compile(r"""[.!?]+["'\u201d\u2019)\]]*(?=\s+["'\u201c\u2018(\[]?[A-Z0-9])""")
_INITIALS: Final = re.compile(r"(?:[A-Z]\.)*[A-Z]")
_LAST_WORD: Final = re.compile(r"([A-Za-z][A-Za-z.]*)\.[\"'\u201d\u2019)\]]*$")


def normalize(text: str) -> str:
    """Return `text` with each run of white space as one blank, and none at the ends."""
    return " ".join(text.split())


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of `text` (parted by blank lines), each normalized to one line; empty ones are left out."""
    parts = (normalize(part) for part in _PARAGRAPH_BREAK.split(text))
    return [part for part in parts if part]


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of one paragraph, in order; joined by single blanks they give the normalized paragraph."""
    line = normalize(paragraph)
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(line):
        candidate = line[start : match.end()]
        if _ends_in_abbreviation(candidate):
            continue
        found.append(candidate)
        start = match.end() + 1
    if start < len(line):
        found.append(line[start:])
    return found


def words(text: str) -> list[str]:
    """Return the words of `text`: what stands between white space, as a reader would count them."""
    return text.split()


def _ends_in_abbreviation(candidate: str) -> bool:
    match = _LAST_WORD.search(candidate)
    if match is None:
        return False
    word = match.group(1)
    if _INITIALS.fullmatch(word):
        return word != "I"
    return word.lower() in _ABBREVIATIONS
