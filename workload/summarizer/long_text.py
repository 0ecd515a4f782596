"""Documents that are longer than a model reads at once: cut at paragraphs and sentences, summarize, combine.

The order of the parts, and so the result, depends on nothing but the text, the model and the limits.
"""

from collections.abc import Callable, Sequence
from typing import Final

from summarizer.engine.base import Engine
from summarizer.text import paragraphs, sentences, words

# Partial summaries of more than this many times the wanted length are summarized once more; up to it, the longest
# sentences are left out, which keeps the others whole and from all over the document.
_ANOTHER_ROUND: Final = 3
_MAX_ROUNDS: Final = 4

CountTokens = Callable[[Sequence[str]], list[int]]


def summarize_document(engine: Engine, text: str, max_words: int) -> str:
    """Return a summary of `text` of at most about `max_words` words; empty for an empty text."""
    partial: list[str] = []
    for _ in range(_MAX_ROUNDS):
        chunks = split_chunks(text, engine.count_tokens, engine.source_tokens)
        if not chunks:
            return ""
        partial = [summary for summary in engine.summarize(chunks, max_words) if summary]
        text = "\n\n".join(partial)
        if len(chunks) == 1 or len(words(text)) <= _ANOTHER_ROUND * max_words:
            break
    return thin_out([sentence for summary in partial for sentence in sentences(summary)], max_words)


def split_chunks(text: str, count_tokens: CountTokens, limit: int) -> list[str]:
    """Return `text` in pieces of at most `limit` tokens: whole paragraphs where they fit, else whole sentences.

    A sentence that does not fit alone is cut in halves between words.
    """
    pieces: list[str] = []
    for paragraph in paragraphs(text):
        if count_tokens([paragraph])[0] <= limit:
            pieces.append(paragraph)
            continue
        fitting = [part for sentence in sentences(paragraph) for part in _halve(sentence, count_tokens, limit)]
        pieces += _pack(fitting, count_tokens, limit)
    return _pack(pieces, count_tokens, limit)


def thin_out(parts: Sequence[str], max_words: int) -> str:
    """Return `parts` joined in their order, without the longest ones that would exceed `max_words`.

    The first part stays in any case: it opens the document.
    """
    kept = list(parts)
    while len(kept) > 1 and sum(len(words(part)) for part in kept) > max_words:
        longest = max(range(1, len(kept)), key=lambda index: (len(words(kept[index])), index))
        del kept[longest]
    return " ".join(kept)


def _pack(pieces: Sequence[str], count_tokens: CountTokens, limit: int) -> list[str]:
    packed: list[str] = []
    for piece in pieces:
        # Counted joined: token counts of pieces do not simply add up.
        if packed and count_tokens([joined := f"{packed[-1]} {piece}"])[0] <= limit:
            packed[-1] = joined
        else:
            packed.append(piece)
    return packed


def _halve(sentence: str, count_tokens: CountTokens, limit: int) -> list[str]:
    parts = words(sentence)
    if count_tokens([sentence])[0] <= limit or len(parts) < 2:
        return [sentence]
    middle = len(parts) // 2
    halves = (" ".join(parts[:middle]), " ".join(parts[middle:]))
    return [part for half in halves for part in _halve(half, count_tokens, limit)]
