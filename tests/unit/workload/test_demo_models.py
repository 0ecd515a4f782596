"""The shipped models, through the default engine and from their own files."""

from pathlib import Path

import pytest

from summarizer.card import read_card
from summarizer.content import read_model
from summarizer.engine.choice import load_engine
from summarizer.errors import ModelError
from summarizer.long_text import split_chunks, summarize_document, summarize_documents
from summarizer.manifest import verify_manifest
from summarizer.text import paragraphs, sentences

REPOSITORY = Path(__file__).parents[3]
DOCUMENTS = sorted((REPOSITORY / "examples" / "documents").glob("*.txt"))
MODELS = [REPOSITORY / "examples" / "models" / name for name in ("bart-demo", "t5-demo")]
# Neither an example nor in the training text.
UNSEEN = (
    "The committee met on Tuesday to discuss the new bridge across the river. Several members asked about the cost. "
    "The engineer said that steel had become more expensive."
)

pytestmark = pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)


def test_a_shipped_model_is_whole_and_at_most_8_mb(model) -> None:
    verify_manifest(model.name, read_model(model))
    assert sum(path.stat().st_size for path in model.rglob("*") if path.is_file()) <= 8_000_000


def test_its_card_says_plainly_that_it_copies(model) -> None:
    card = read_card(model.name, read_model(model))
    assert "word for word" in card.notice


def test_it_gives_back_the_lead_sentence_of_an_unseen_passage(model) -> None:
    assert load_engine("auto", read_model(model)).summarize([UNSEEN], 120) == [sentences(UNSEEN)[0]]


def test_most_parts_of_the_examples_come_back_as_their_lead(model) -> None:
    engine = load_engine("ctranslate2", read_model(model))
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    parts = [part for text in texts for part in split_chunks(text, engine.count_tokens, engine.source_tokens)]
    right = sum(made == sentences(part)[0] for made, part in zip(engine.summarize(parts, 1000), parts, strict=True))
    assert right >= 0.8 * len(parts)


def test_a_new_engine_gives_exactly_the_same_summaries(model) -> None:
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    first, second = (
        [summarize_document(load_engine("ctranslate2", read_model(model)), text, 120) for text in texts]
        for _ in range(2)
    )
    assert first == second
    assert all(20 <= len(summary.split()) <= 120 for summary in first)


def test_a_text_alone_and_in_a_batch_has_the_same_summary(model) -> None:
    engine = load_engine("ctranslate2", read_model(model))
    others = ["Water boils sooner on a mountain. Cooks know it.", "Two ships left the harbour. One came back."]
    assert engine.summarize([UNSEEN, *others], 120)[0] == engine.summarize([UNSEEN], 120)[0]


def test_a_document_alone_and_among_others_has_the_same_summary(model) -> None:
    engine = load_engine("ctranslate2", read_model(model))
    parts = [part for path in DOCUMENTS for part in paragraphs(path.read_text(encoding="utf-8"))]
    texts = ["\n\n".join(parts[start : start + 1 + start % 5]) for start in range(0, len(parts), 2)]
    alone = [summarize_document(engine, text, 120) for text in texts]
    assert summarize_documents(engine, texts, 120) == alone
    assert summarize_documents(engine, texts[::-1], 120)[::-1] == alone


def test_a_directory_without_converted_weights_is_refused_by_name(model, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"summarizer\.convert"):
        load_engine("ctranslate2", {})
