"""The two demo models: architecture, tokenizer and initial weights.

Most of what an abstract says is copied from the contract: names, amounts, dates. So the initial weights are laid out
for copying on, in both families alike: find where the last tokens of the summary stood, and hand on what followed.
Where to begin, and what to say around it, is left to training.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

Architecture = Literal["bart", "t5"]

VOCABULARY: Final = 4000
SOURCE_TOKENS: Final = 512
SUMMARY_TOKENS: Final = 128
_WIDTH: Final = 192
_LAYERS: Final = 2
# Twice the width instead of four times: copying lives in the attention, and the weights stay under 5 MB.
_FEED_FORWARD: Final = 384

# The width holds the token itself, then (BART only) its position, then slots for the tokens before it.
_TOKEN: Final = _WIDTH // 2
_LOOK_BACK: Final = 4
# How many numbers of each slot a head of the pointer compares, the nearest token first: at the start of a name nothing
# else is alike.
_COMPARED: Final = (14, 8, 6, 4)

_BART_HEADS: Final = 6
_BART_HEAD_WIDTH: Final = _WIDTH // _BART_HEADS
_BART_POINTER_STRENGTH: Final = 2.0
_EMBEDDING_DEVIATION: Final = 0.07
_POSITION: Final = slice(_TOKEN, _TOKEN + _BART_HEAD_WIDTH)

# Heads for looking back, and two that are free to learn what they like.
_T5_HEADS: Final = _LOOK_BACK + 2
_T5_HEAD_WIDTH: Final = 32
_T5_POINTER_STRENGTH: Final = 0.84
# T5 tells distances below a quarter of this apart, in the encoder; it has to be more than `_LOOK_BACK`.
_DISTANCE_BUCKETS: Final = 64


@dataclass(frozen=True)
class Recipe:
    """How one demo model is trained.

    Attributes:
        architecture: Which of the two families.
        prefix: Put before every source text, as the family expects it.
        learning_rate: Level of the schedule, after a linear warm-up and before a straight fall.
        warm_up_steps: Steps to that level.
        steps: All steps of the first round.
        more_steps: All steps of the second round, on more wordings.
    """

    architecture: Architecture
    prefix: str
    learning_rate: float
    warm_up_steps: int
    steps: int
    more_steps: int


RECIPES: Final[dict[Architecture, Recipe]] = {
    "bart": Recipe("bart", "", 1e-3, 100, 1662, 1100),
    "t5": Recipe("t5", "summarize: ", 1e-3, 100, 1777, 1100),
}


def train_tokenizer(architecture: Architecture, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with `VOCABULARY` entries and the family's special tokens."""
    bart = architecture == "bart"
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if bart else ["<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE())
    # The first word of a text is made of the same tokens as everywhere else, so that it can be copied there.
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if bart else "$A </s>",
        special_tokens=[(token, special.index(token)) for token in ("<s>", "</s>") if token in special],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=SOURCE_TOKENS,
        **({"bos_token": "<s>", "mask_token": "<mask>"} if bart else {}),
    )


def new_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast) -> torch.nn.Module:
    """Return a model of the family with initial weights laid out for copying."""
    return _bart(tokenizer) if architecture == "bart" else _t5(tokenizer)


def generation_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """Return what the model says about how it wants to be used; both engines read it from there."""
    starts = {"bart": tokenizer.eos_token_id, "t5": tokenizer.pad_token_id}
    bart_only = {"bos_token_id": tokenizer.bos_token_id, "forced_bos_token_id": tokenizer.bos_token_id}
    return GenerationConfig(
        max_length=SUMMARY_TOKENS,
        num_beams=1,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=starts[recipe.architecture],
        **(bart_only if recipe.architecture == "bart" else {}),
    )


def _bart(tokenizer: PreTrainedTokenizerFast) -> BartForConditionalGeneration:
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=_WIDTH,
        encoder_layers=_LAYERS,
        decoder_layers=_LAYERS,
        encoder_attention_heads=_BART_HEADS,
        decoder_attention_heads=_BART_HEADS,
        encoder_ffn_dim=_FEED_FORWARD,
        decoder_ffn_dim=_FEED_FORWARD,
        max_position_embeddings=SOURCE_TOKENS,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_bos_token_id=tokenizer.bos_token_id,
        forced_eos_token_id=None,
        task_specific_params={"summarization": {"max_length": SUMMARY_TOKENS, "num_beams": 1}},
    )
    model = BartForConditionalGeneration(config)
    encoder, decoder = model.model.encoder, model.model.decoder
    # Random frequencies: no two positions in reach look alike, unlike with the usual slow waves.
    rates = torch.rand(_BART_HEAD_WIDTH // 2) * math.pi
    with torch.no_grad():
        model.model.shared.weight.normal_(0.0, _EMBEDDING_DEVIATION)
        model.model.shared.weight[:, _TOKEN:] = 0.0
        for embeddings in (encoder.embed_positions, decoder.embed_positions):
            embeddings.weight.copy_(_position_waves(rates, embeddings.weight.shape[0]))
        for attention, first in ((encoder.layers[0].self_attn, 1), (decoder.layers[0].self_attn, 0)):
            for head in range(_LOOK_BACK):
                _bart_look_back(attention, head, _turn(rates, first + head))
        pointer = decoder.layers[-1].encoder_attn
        projections = (pointer.q_proj, pointer.k_proj, pointer.v_proj, pointer.out_proj)
        _point_after_match(projections, _BART_HEAD_WIDTH, _POSITION.stop, _BART_POINTER_STRENGTH)
    return model


def _position_waves(rates: torch.Tensor, count: int) -> torch.Tensor:
    angles = torch.arange(count, dtype=torch.float32).unsqueeze(1) * rates
    waves = torch.zeros(count, _WIDTH)
    waves[:, _POSITION] = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
    return waves * _EMBEDDING_DEVIATION * math.sqrt(2)


def _turn(rates: torch.Tensor, distance: int) -> torch.Tensor:
    """Return the matrix that turns the waves of a position into those of the position `distance` before it."""
    sines, cosines = (rates * distance).sin(), (rates * distance).cos()
    blocks = torch.stack((torch.stack((cosines, -sines), 1), torch.stack((sines, cosines), 1)), 1)
    return torch.block_diag(*blocks)


def _bart_look_back(attention: Any, head: int, turn: torch.Tensor) -> None:
    """Let a head bring a part of the token some places before into its slot."""
    size = (_WIDTH - _POSITION.stop) // _LOOK_BACK
    rows = slice(head * _BART_HEAD_WIDTH, (head + 1) * _BART_HEAD_WIDTH)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[rows] = 0.0
    attention.out_proj.weight[:, rows] = 0.0
    attention.q_proj.weight[rows, _POSITION] = _BART_POINTER_STRENGTH * turn
    attention.k_proj.weight[rows, _POSITION] = _BART_POINTER_STRENGTH * torch.eye(_BART_HEAD_WIDTH)
    attention.v_proj.weight[rows.start : rows.start + size, :size] = torch.eye(size)
    slot = _POSITION.stop + head * size
    attention.out_proj.weight[slot : slot + size, rows.start : rows.start + size] = torch.eye(size)


def _t5(tokenizer: PreTrainedTokenizerFast) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=_WIDTH,
        d_kv=_T5_HEAD_WIDTH,
        num_heads=_T5_HEADS,
        num_layers=_LAYERS,
        num_decoder_layers=_LAYERS,
        d_ff=_FEED_FORWARD,
        n_positions=SOURCE_TOKENS,
        relative_attention_num_buckets=_DISTANCE_BUCKETS,
        dropout_rate=0.0,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        task_specific_params={
            "summarization": {"max_length": SUMMARY_TOKENS, "num_beams": 1, "prefix": RECIPES["t5"].prefix}
        },
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight[:, _TOKEN:] = 0.0
        _t5_look_back(model.encoder.block[0].layer[0].SelfAttention, first_distance=1)
        _t5_look_back(model.decoder.block[0].layer[0].SelfAttention, first_distance=0)
        pointer = model.decoder.block[-1].layer[1].EncDecAttention
        projections = (pointer.q, pointer.k, pointer.v, pointer.o)
        _point_after_match(projections, _T5_HEAD_WIDTH, _TOKEN, _T5_POINTER_STRENGTH)
    return model


def _t5_look_back(attention: Any, first_distance: int) -> None:
    """Let a head for each distance bring a part of the token there into its slot."""
    size = (_WIDTH - _TOKEN) // _LOOK_BACK
    for head in range(_LOOK_BACK):
        rows = slice(head * _T5_HEAD_WIDTH, (head + 1) * _T5_HEAD_WIDTH)
        part = slice(rows.start, rows.start + size)
        slot = slice(_TOKEN + head * size, _TOKEN + (head + 1) * size)
        # Bucket d holds the key d tokens before the query.
        attention.relative_attention_bias.weight[first_distance + head, head] = 12.0
        for projection in (attention.q, attention.k, attention.v):
            projection.weight[rows] = 0.0
        attention.o.weight[:, rows] = 0.0
        attention.v.weight[part, :size] = torch.eye(size)
        attention.o.weight[slot, part] = torch.eye(size)


def _point_after_match(projections: Sequence[Any], head_width: int, slots: int, strength: float) -> None:
    """Let heads compare a part of each slot, and hand on their part of the token.

    Args:
        projections: Of queries, keys, values and the output.
        head_width: Of one head.
        slots: Where the slots begin.
        strength: Of a match.
    """
    q, k, v, o = projections
    size = (_WIDTH - slots) // _LOOK_BACK
    for head in range(_TOKEN // head_width):
        rows = slice(head * head_width, (head + 1) * head_width)
        for projection in (q, k):
            projection.weight[rows] = 0.0
            row = rows.start
            for slot, compared in enumerate(_COMPARED):
                for number in range(compared):
                    column = slots + slot * size + (head * compared + number) % size
                    projection.weight[row + number, column] = strength
                row += compared
        v.weight[rows] = 0.0
        o.weight[:, rows] = 0.0
        v.weight[rows, rows] = torch.eye(head_width)
        o.weight[rows, rows] = 3.0 * torch.eye(head_width)


def load(path: Path) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """Return a saved checkpoint in single precision, to go on with, and its tokenizer."""
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(path)
    return model.float(), PreTrainedTokenizerFast.from_pretrained(path)


def save(path: Path, model: Any, tokenizer: PreTrainedTokenizerFast, generation: GenerationConfig) -> None:
    """Write the checkpoint as `transformers` reads it: half-precision safetensors, configs, tokenizer."""
    half = model.half()
    half.generation_config = generation
    half.save_pretrained(path, safe_serialization=True)
    # Batches of training set these; whoever reads the checkpoint must not lose the end of a text.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(path)
