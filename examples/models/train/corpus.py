"""Training text of the demo models: prose of free documentation, from Debian packages.

The packages are only downloaded and unpacked into a folder, never installed. Every sentence that shares eight words in
a row with one of the shipped example documents is left out, so that the examples stay unseen.
"""

import gzip
import html
import os
import random
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from summarizer.text import normalize, paragraphs, sentences

# Prose that is free to use, and its register: modern technical English, and one old-fashioned narrative text,
# so that the model has met more than manuals.
PACKAGES: Final = (
    "bible-kjv",
    "bible-kjv-text",
    "debian-faq",
    "debian-handbook",
    "debian-policy",
    "debian-reference-en",
    "developers-reference",
    "git-doc",
    "python3.11-doc",
)
_OVERLAP_WORDS: Final = 8
_PARAGRAPH_ELEMENT: Final = re.compile(r"<(?:p|dd|li)\b[^>]*>(.*?)</(?:p|dd|li)>", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]+>")
_NOT_ENGLISH: Final = re.compile(r"/(?!en-US)[a-z]{2}-[A-Z]{2}/|\.(?:ja|de|fr|ru|it|zh-cn|zh-tw|es|pt|pt-br)\.")
_MARKUP: Final = re.compile(r"[`*_|<>{}\\=~^#]|::|\$|\.\.\.")
_VERSE: Final = re.compile(r"^\s*\S*\d+:\d+\s+|^\s*\d+\s+", re.MULTILINE)


def download(folder: Path) -> None:
    """Download and unpack `PACKAGES` below `folder`, each into a folder of its name; those already there are kept."""
    for package in PACKAGES:
        target = folder / package
        if target.exists():
            continue
        archives = folder / "archives" / package
        archives.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=archives, check=True)
        for archive in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(target)], check=True)


def training_sentences(folder: Path, held_out: Iterable[str]) -> list[list[str]]:
    """Return passages (lists of consecutive sentences) from the unpacked packages, in a fixed order.

    Args:
        folder: Where `download` put the packages.
        held_out: Texts that no training sentence may overlap.
    """
    forbidden = {gram for text in held_out for gram in _grams(text)}
    seen: set[str] = set()
    passages: list[list[str]] = []
    for paragraph in _paragraphs(folder):
        passage = []
        for sentence in sentences(paragraph):
            if sentence in seen or not _is_prose(sentence) or forbidden.intersection(_grams(sentence)):
                continue
            seen.add(sentence)
            passage.append(sentence)
        if passage:
            passages.append(passage)
    return passages


def split(passages: list[list[str]], share: float, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Return (training, evaluation) passages; a `share` of the passages, drawn with `seed`, is for evaluation."""
    order = list(passages)
    random.Random(seed).shuffle(order)
    cut = int(len(order) * share)
    return order[cut:], order[:cut]


def _grams(text: str) -> set[str]:
    tokens = re.findall(r"[a-z']+", text.lower())
    return {" ".join(tokens[i : i + _OVERLAP_WORDS]) for i in range(len(tokens) - _OVERLAP_WORDS + 1)}


def _is_prose(sentence: str) -> bool:
    count = len(sentence.split())
    if not 4 <= count <= 80 or _MARKUP.search(sentence) or not sentence.isascii():
        return False
    letters = sum(character.isalpha() or character == " " for character in sentence)
    return sentence[0].isupper() and sentence.rstrip("\"')")[-1:] in (".", "!", "?") and letters > 0.88 * len(sentence)


def _paragraphs(folder: Path) -> Iterator[str]:
    for package in PACKAGES:
        if package == "bible-kjv-text":
            yield from _scripture(folder)
            continue
        for path in sorted((folder / package / "usr/share/doc").rglob("*")):
            if path.is_file() and not _NOT_ENGLISH.search(str(path)):
                yield from _file_paragraphs(path)


def _file_paragraphs(path: Path) -> Iterator[str]:
    if path.suffix == ".html":
        page = path.read_text(encoding="utf-8", errors="replace")
        for element in _PARAGRAPH_ELEMENT.findall(page):
            yield normalize(html.unescape(_TAG.sub("", element)))
    elif path.name.endswith((".txt", ".txt.gz")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield from paragraphs(data.decode("utf-8", errors="replace"))


def _scripture(folder: Path) -> Iterator[str]:
    """Yield the King James text in passages of about a dozen verses; the reader program comes with the package."""
    reader = folder / "bible-kjv/usr/bin/bible"
    done = subprocess.run(
        [str(reader), "-p", str(folder / "bible-kjv-text/usr/lib"), "-f", "gen1:1-rev22:21"],
        capture_output=True, text=True, check=True, env={**os.environ, "PAGER": "cat"},
    )  # fmt: skip
    verses = [normalize(_VERSE.sub("", line)) for line in done.stdout.splitlines()]
    verses = [verse for verse in verses if verse]
    for start in range(0, len(verses), 12):
        yield " ".join(verses[start : start + 12])
