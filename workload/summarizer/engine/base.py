"""What an engine is, and what a model says about how it wants to be used."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from summarizer.content import ModelFiles
from summarizer.engine.families import FAMILIES, TITLES, Family
from summarizer.errors import ModelError

# Words of English prose make 1.3 to 1.5 tokens in the vocabularies of T5 and BART; 2 leaves room for rare words.
_TOKENS_PER_WORD: Final = 2


class Engine(Protocol):
    """Turns texts that fit the model into summaries; the same texts always give the same summaries."""

    @property
    def name(self) -> str:
        """What does the work: `ctranslate2` or `reference`."""

    @property
    def batch(self) -> int:
        """How many texts at once keep the processor busy."""

    @property
    def source_tokens(self) -> int:
        """Most tokens of a text, without the prefix and the special tokens."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without prefix and special tokens."""

    def summarize(self, texts: Sequence[str], max_words: int) -> list[str]:
        """Return one summary for each text; each text fits `source_tokens`, each summary about `max_words`."""


@dataclass(frozen=True)
class GenerationSettings:
    """How a model wants to generate, read from its own files; lengths in tokens.

    Attributes:
        prefix: Put before each source text (`summarize: ` for T5).
        source_limit: Most tokens of a source with prefix and special tokens.
        max_length: Most tokens of a summary, counted as `transformers` does: with the decoder's start token.
        min_length: Fewest, counted the same way.
        beams: Width of the beam search; 1 is greedy.
        length_penalty: Exponent on the length in the score of a beam.
        no_repeat_ngram: No n-gram of this length stands twice in a summary; 0 is off.
        early_stopping: Whether the beam search ends as soon as `beams` summaries are complete.
        forced_bos: Id of the first token that every summary has to start with (BART's `<s>`), or None.
    """

    prefix: str
    source_limit: int
    max_length: int
    min_length: int
    beams: int
    length_penalty: float
    no_repeat_ngram: int
    early_stopping: bool
    forced_bos: int | None

    def bounded_length(self, max_words: int) -> int:
        """Return `max_length`, or less where `max_words` asks for less: the policy's limit beats the model's files."""
        return min(self.max_length, max_words * _TOKENS_PER_WORD + 2)

    def least_length(self, max_words: int) -> int:
        """Return `min_length`, or less where `max_words` asks for less."""
        return min(self.min_length, self.bounded_length(max_words))


def read_settings(files: ModelFiles) -> GenerationSettings:
    """Return the settings of a model in the layout of `transformers`.

    `generation_config.json` is overlaid by `task_specific_params.summarization` of `config.json`, which is how the
    summarization pipeline treats t5-small, t5-base and facebook/bart-large-cnn.

    Raises:
        ModelError: A file is missing or malformed, or the model is of no family that is known.
    """
    config = _read_json(files, "config.json")
    limit = config.get(_family(config).source_limit)
    if not isinstance(limit, int):
        raise ModelError("config.json does not say how long a source may be: use a complete model directory")
    merged = _read_json(files, "generation_config.json") if "generation_config.json" in files else {}
    # Older checkpoints keep generation settings at the top of config.json.
    merged = {key: value for key, value in {**config, **merged}.items() if value is not None}
    merged |= (config.get("task_specific_params") or {}).get("summarization") or {}
    return GenerationSettings(
        prefix=str(merged.get("prefix") or ""),
        source_limit=limit,
        max_length=int(merged.get("max_length", 142)),
        min_length=int(merged.get("min_length", 0)),
        beams=int(merged.get("num_beams", 1)),
        length_penalty=float(merged.get("length_penalty", 1.0)),
        no_repeat_ngram=int(merged.get("no_repeat_ngram_size", 0)),
        early_stopping=bool(merged.get("early_stopping", False)),
        forced_bos=merged.get("forced_bos_token_id"),
    )


def read_family(files: ModelFiles) -> Family:
    """Return the family of a model.

    Raises:
        ModelError: `config.json` is missing or malformed, or names none that is known.
    """
    return _family(_read_json(files, "config.json"))


def _family(config: dict[str, Any]) -> Family:
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        raise ModelError(f"config.json is of type {kind!r}: use a model of one of these families: {TITLES}")
    return FAMILIES[kind]


def _read_json(files: ModelFiles, path: str) -> dict[str, Any]:
    try:
        value = json.loads(files[path])
    except (KeyError, ValueError):
        raise ModelError(f"{path} is missing or no JSON: use a complete model directory") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is no JSON object: use a complete model directory")
    return value
