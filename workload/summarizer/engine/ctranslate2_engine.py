"""The default engine: CTranslate2 on weights that were converted beforehand; needs no torch.

From the same single-precision weights it gives the reference engine's summaries, greedy or with beams.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

import ctranslate2

from summarizer.content import ModelFiles
from summarizer.cores import available_cores
from summarizer.engine.base import read_settings
from summarizer.engine.tokenization import Tokenization
from summarizer.errors import ModelError

# Where `summarizer.convert` puts the converted weights inside a model directory.
CONVERTED: Final = "ctranslate2"
# The batch that measured best: 8 sources, and no more tokens than 8 of 512.
_BATCH: Final = 8
_BATCH_TOKENS: Final = _BATCH * 512


class CTranslate2Engine:
    """Beam or greedy search by CTranslate2 on the CPU, with the precision the weights are stored in."""

    name: Final = "ctranslate2"

    def __init__(self, model: ModelFiles) -> None:
        """Load `model`/ctranslate2.

        Raises:
            ModelError: The directory is incomplete, or the weights cannot be loaded.
        """
        # Its own lines are not JSON; what matters comes as an exception.
        ctranslate2.set_log_level(logging.ERROR)
        self._settings = read_settings(model)
        self._tokenization = Tokenization(model, self._settings)
        self._workers = available_cores()
        self.batch = _BATCH * self._workers
        try:
            self._translator = ctranslate2.Translator(
                CONVERTED,
                # From memory: read again from storage, the weights could be others than those that were checked.
                files={
                    path.removeprefix(f"{CONVERTED}/"): data
                    for path, data in model.items()
                    if path.startswith(f"{CONVERTED}/")
                },
                device="cpu",
                # One worker for each core beats one worker with all cores as soon as there is a queue.
                inter_threads=self._workers,
                intra_threads=1,
            )
        except (RuntimeError, ValueError, OSError):
            raise ModelError(f"{CONVERTED} of the model cannot be loaded: convert the model again") from None

    @property
    def source_tokens(self) -> int:
        """Most tokens of a text, without the prefix and the special tokens."""
        return self._tokenization.source_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without prefix and special tokens."""
        return self._tokenization.count(texts)

    def summarize(self, texts: Sequence[str], max_words: int) -> list[str]:
        """Return one summary for each text."""
        settings = self._settings
        sources = [encoding.tokens for encoding in self._tokenization.encode(texts)]
        forced = [] if settings.forced_bos is None else [self._tokenization.token(settings.forced_bos)]
        # `transformers` counts the decoder's start token in its lengths, CTranslate2 does not.
        length = settings.bounded_length(max_words) - 1
        options: dict[str, Any] = {"target_prefix": [forced] * len(sources)} if forced else {}
        results = self._translator.translate_batch(
            sources,
            max_batch_size=self._batch_size([len(tokens) for tokens in sources]),
            beam_size=settings.beams,
            length_penalty=settings.length_penalty,
            no_repeat_ngram_size=settings.no_repeat_ngram,
            max_decoding_length=length,
            min_decoding_length=max(0, settings.least_length(max_words) - 1),
            max_input_length=0,
            **options,
        )
        return [self._tokenization.decode_tokens(result.hypotheses[0]) for result in results]

    def _batch_size(self, lengths: Sequence[int]) -> int:
        """Return how many sources go through a worker at once: no core waits while another has them all."""
        share = -(-len(lengths) // self._workers)
        return max(1, min(_BATCH, share, _BATCH_TOKENS // max([1, *lengths])))
