"""Documents that are longer than a model reads at once: cut along their structure, summarize, combine.

The order of the parts, and so the result, depends on nothing but the text, the model and the limits: a document's
summary is the same whatever it shares a batch with.
"""

from collections.abc import Callable, Sequence
from typing import Final

from summarizer.engine.base import Engine
from summarizer.text import count_words, cut, is_heading, join, paragraphs, sentences

# Partial summaries of more than this many times the wanted length are summarized once more; up to it, the longest
# sentences are left out, which keeps the others whole and from all over the document.
_ANOTHER_ROUND: Final = 3
# Each round shortens a text to about a tenth: the longest document that is read is through after three.
_MAX_ROUNDS: Final = 4
# Chapter, section and clause; more short lines in a row are a list.
_MAX_HEADINGS: Final = 3

CountTokens = Callable[[Sequence[str]], list[int]]


def summarize_documents(
    engine: Engine, texts: Sequence[str], max_words: int, check: Callable[[], None] = lambda: None
) -> list[str]:
    """Return a summary of each text of at most about `max_words` words; empty for an empty text.

    Args:
        engine: The model.
        texts: They go through the model together, sorted by length by the engine.
        max_words: The bound.
        check: Called between batches; raises to end the work.
    """
    current = list(texts)
    partial: list[list[str]] = [[] for _ in texts]
    going = list(range(len(texts)))
    for _ in range(_MAX_ROUNDS):
        chunks = {index: split_chunks(current[index], engine.count_tokens, engine.source_tokens) for index in going}
        made = iter(_in_batches(engine, [chunk for index in going for chunk in chunks[index]], max_words, check))
        for index in going:
            partial[index] = [summary for summary in (next(made) for _ in chunks[index]) if summary]
            current[index] = "\n\n".join(partial[index])
        going = [i for i in going if len(chunks[i]) > 1 and count_words(current[i]) > _ANOTHER_ROUND * max_words]
        if not going:
            break
    return [thin_out([one for summary in parts for one in sentences(summary)], max_words) for parts in partial]


def summarize_document(engine: Engine, text: str, max_words: int) -> str:
    """Return a summary of one text, as `summarize_documents` does."""
    return summarize_documents(engine, [text], max_words)[0]


def split_chunks(text: str, count_tokens: CountTokens, limit: int) -> list[str]:
    """Return `text` in pieces of at most `limit` tokens: whole paragraphs where they fit, else whole sentences.

    A heading goes with what it opens. A sentence that does not fit alone is cut in halves between words, a word
    between characters.
    """
    pieces: list[str] = []
    for section in _with_headings(paragraphs(text)):
        if count_tokens([section])[0] <= limit:
            pieces.append(section)
            continue
        fitting = [part for sentence in sentences(section) for part in _halve(sentence, count_tokens, limit)]
        pieces += _pack(fitting, count_tokens, limit)
    return _pack(pieces, count_tokens, limit)


def thin_out(parts: Sequence[str], max_words: int) -> str:
    """Return `parts` joined in their order, without the longest ones that would exceed `max_words`.

    The first part stays in any case: it opens the document.
    """
    kept = [(count_words(part), part) for part in parts]
    total = sum(count for count, _ in kept)
    while len(kept) > 1 and total > max_words:
        longest = max(range(1, len(kept)), key=lambda index: (kept[index][0], index))
        total -= kept.pop(longest)[0]
    return join([part for _, part in kept])


def _in_batches(engine: Engine, chunks: Sequence[str], max_words: int, check: Callable[[], None]) -> list[str]:
    """Summarize chunks, as many at once as keep the processor busy and leave a reader who cancels waiting seconds."""
    made: list[str] = []
    for start in range(0, len(chunks), engine.batch):
        check()
        made += engine.summarize(chunks[start : start + engine.batch], max_words)
    return made


def _with_headings(parts: Sequence[str]) -> list[str]:
    """Join headings with the paragraph after them."""
    sections: list[str] = []
    opening: list[str] = []
    for part in parts:
        opening.append(part)
        if not is_heading(part) or len(opening) > _MAX_HEADINGS:
            sections.append(" ".join(opening))
            opening = []
    return [*sections, " ".join(opening)] if opening else sections


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
    if count_tokens([sentence])[0] <= limit or len(sentence) < 2:
        return [sentence]
    count = count_words(sentence)
    middle = len(sentence) // 2
    halves = cut(sentence, count // 2) if count > 1 else (sentence[:middle], sentence[middle:])
    return [part for half in halves for part in _halve(half, count_tokens, limit)]
