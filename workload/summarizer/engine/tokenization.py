"""Token counts and ids through `tokenizer.json`, the format that `tokenizers` and `transformers` share."""

from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

from summarizer.content import ModelFiles
from summarizer.engine.base import GenerationSettings
from summarizer.errors import ModelError


class Tokenization:
    """The tokenizer of a model directory together with the prefix that the model wants."""

    def __init__(self, model: ModelFiles, settings: GenerationSettings) -> None:
        """Read `tokenizer.json` of `model`.

        Raises:
            ModelError: The file is missing or cannot be read.
        """
        try:
            self._tokenizer = Tokenizer.from_str(model["tokenizer.json"].decode("utf-8"))
        except Exception:  # noqa: BLE001  the binding raises nothing narrower
            raise ModelError("tokenizer.json is missing or no tokenizer: use a complete model directory") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._settings = settings
        # Counted on the prefix alone: it carries its own tokens and the special ones around every source.
        self.source_tokens = settings.source_limit - len(self._tokenizer.encode(settings.prefix).ids)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without prefix and special tokens."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Return each text as the model wants it, cut to its limit, with prefix and special tokens."""
        self._tokenizer.enable_truncation(self._settings.source_limit)
        try:
            return list(self._tokenizer.encode_batch([self._settings.prefix + text for text in texts]))
        finally:
            self._tokenizer.no_truncation()

    def token(self, token_id: int) -> str:
        """Return the token with this id."""
        return str(self._tokenizer.id_to_token(token_id))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def decode_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens, without special tokens."""
        ids = (self._tokenizer.token_to_id(token) for token in tokens)
        return self.decode([token_id for token_id in ids if token_id is not None])
