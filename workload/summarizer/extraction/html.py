"""The text that a browser would show of an HTML page, by the standard library's parser; nothing is run or fetched."""

import re
from html.parser import HTMLParser
from typing import Final

from summarizer.extraction.encoding import decode

# HTML's elements that begin and end a block, as browsers lay them out.
_BLOCK_NAMES: Final = """
address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre search section summary table tbody tfoot thead
title tr ul
"""
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
_CELLS: Final = frozenset({"td", "th"})
_HIDDEN: Final = frozenset({"script", "style", "template", "svg", "math", "object", "iframe", "noframes", "select"})
# HTML looks for the declaration in the first 1024 bytes.
_CHARSET: Final = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)


class _Text(HTMLParser):
    """Gathers what is shown, block by block; no stack grows with the depth of the page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        self._edge(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._edge(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        self._edge(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            # White space of the source is one blank, a blank line no paragraph's end.
            self.pieces.append(re.sub(r"\s+", " ", data))

    def _edge(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n\n")
        elif tag == "br":
            self.pieces.append("\n")
        elif tag in _CELLS:
            self.pieces.append(" ")


def html_text(data: bytes) -> str:
    """Return the shown text of a page; its encoding as in HTML: mark, declaration, or a guess."""
    declared = _CHARSET.search(data[:1024])
    return markup_text(decode(data, declared.group(1).decode("ascii") if declared else None))


def markup_text(markup: str) -> str:
    """Return the shown text of markup that is decoded already."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return "".join(parser.pieces)
