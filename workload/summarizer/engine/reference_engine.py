"""The reference engine: transformers and torch, as the authors of the model families publish them.

The same code loads t5-small, t5-base, facebook/bart-large-cnn and the demo models: a local directory with
safetensors, `tokenizer.json` and the configs. Nothing is fetched and no code from the directory is run.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers import AutoModelForSeq2SeqLM

from summarizer.content import ModelFiles, private_copy
from summarizer.engine.base import read_family, read_settings
from summarizer.engine.tokenization import Tokenization
from summarizer.errors import ModelError

# Sources in one batch: what measured best on two cores for every size of model.
_BATCH: Final = 8


class ReferenceEngine:
    """Beam or greedy search by `transformers` in single precision on the CPU."""

    name: Final = "reference"
    batch: Final = _BATCH

    def __init__(self, model: ModelFiles) -> None:
        """Load the safetensors of `model`.

        Raises:
            ModelError: The directory is incomplete, or the weights cannot be loaded.
        """
        self._settings = read_settings(model)
        self._family = read_family(model)
        self._tokenization = Tokenization(model, self._settings)
        try:
            with private_copy(model) as folder:
                self._model: Any = AutoModelForSeq2SeqLM.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
                ).eval()
        except (OSError, ValueError, RuntimeError):
            raise ModelError("the model cannot be loaded: it needs model.safetensors and its config.json") from None

    @property
    def source_tokens(self) -> int:
        """Most tokens of a text, without the prefix and the special tokens."""
        return self._tokenization.source_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without prefix and special tokens."""
        return self._tokenization.count(texts)

    def summarize(self, texts: Sequence[str], max_words: int) -> list[str]:
        """Return one summary for each text."""
        summaries: list[str] = []
        for start in range(0, len(texts), _BATCH):
            summaries += self._batch(texts[start : start + _BATCH], max_words)
        return summaries

    def _batch(self, texts: Sequence[str], max_words: int) -> list[str]:
        settings = self._settings
        sources = [encoding.ids for encoding in self._tokenization.encode(texts)]
        longest = max(len(ids) for ids in sources)
        pad = self._model.config.pad_token_id
        options: dict[str, Any] = {}
        if self._family.global_first:
            options["global_attention_mask"] = torch.tensor([[1] + [0] * (longest - 1)] * len(sources))
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor([ids + [pad] * (longest - len(ids)) for ids in sources]),
                attention_mask=torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sources]),
                do_sample=False,
                num_beams=settings.beams,
                length_penalty=settings.length_penalty,
                no_repeat_ngram_size=settings.no_repeat_ngram,
                early_stopping=settings.early_stopping,
                max_length=settings.bounded_length(max_words),
                min_length=settings.least_length(max_words),
                forced_bos_token_id=settings.forced_bos,
                # What a ban of a token leaves has to be probabilities again, or beams with bans are compared by less
                # than one; CTranslate2 does so, and transformers recommends it.
                renormalize_logits=True,
                **options,
            )
        return [self._tokenization.decode(ids) for ids in made.tolist()]
