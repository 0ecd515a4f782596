"""The two demo models: architecture, tokenizer and initial weights.

Both learn one thing: to give back the lead sentence of a passage. That is a pointer, not a memory, so the initial
weights are laid out for copying; the lead then comes out of minutes of training on two cores.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

Architecture = Literal["bart", "t5"]

VOCABULARY: Final = 4000
SOURCE_TOKENS: Final = 192
SUMMARY_TOKENS: Final = 112
_WIDTH: Final = 192
_LAYERS: Final = 2
# Twice the width instead of four times: copying lives in the attention, and the weights stay under 5 MB.
_FEED_FORWARD: Final = 384

_BART_HEADS: Final = 6
_BART_HEAD_WIDTH: Final = _WIDTH // _BART_HEADS
_BART_POINTER_STRENGTH: Final = 2.0
_EMBEDDING_DEVIATION: Final = 0.07
_POSITION_WIDTH: Final = 64

_LOOK_BACK: Final = 8
# Heads for looking back, and two that are free to learn what they like.
_T5_HEADS: Final = _LOOK_BACK + 2
_T5_HEAD_WIDTH: Final = 24
_T5_POINTER_STRENGTH: Final = 1.5
# T5 tells distances below a quarter of this apart, in the encoder; it has to be more than `_LOOK_BACK`.
_DISTANCE_BUCKETS: Final = 64


@dataclass(frozen=True)
class Recipe:
    """How one demo model is trained.

    Attributes:
        architecture: Which of the two families.
        prefix: Put before every source text, as the family expects it.
        learning_rate: Peak of the schedule (linear warm-up, cosine to zero).
        warm_up_steps: Steps to the peak.
        steps: All steps.
    """

    architecture: Architecture
    prefix: str
    learning_rate: float
    warm_up_steps: int
    steps: int


RECIPES: Final[dict[Architecture, Recipe]] = {
    "bart": Recipe("bart", "", 1e-3, 50, 1000),
    "t5": Recipe("t5", "summarize: ", 1e-3, 50, 900),
}


def train_tokenizer(architecture: Architecture, sentences: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the family's own kind (byte-level BPE or Unigram) with `VOCABULARY` entries."""
    if architecture == "bart":
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        # As in a passage: every sentence but the first follows a blank.
        tokenizer.train_from_iterator((f" {sentence}" for sentence in sentences), trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        names = {"bos_token": "<s>", "mask_token": "<mask>"}
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        )
        tokenizer.train_from_iterator((f"summarize: {sentence}" for sentence in sentences), trainer)
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        names = {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=SOURCE_TOKENS,
        **names,
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
    with torch.no_grad():
        # Two thirds of the width hold the token, the last third its position, alike in source and summary.
        model.model.shared.weight.normal_(0.0, _EMBEDDING_DEVIATION)
        model.model.shared.weight[:, -_POSITION_WIDTH:] = 0.0
        waves = _position_waves(encoder.embed_positions.weight.shape[0])
        encoder.embed_positions.weight.copy_(waves)
        decoder.embed_positions.weight.copy_(waves)
        _point_at_position(decoder.layers[-1].encoder_attn)
    return model


def _point_at_position(attention: Any) -> None:
    """Each head compares half of the position's numbers, and hands on its share of the token."""
    half = _POSITION_WIDTH // 2
    for head in range((_WIDTH - _POSITION_WIDTH) // _BART_HEAD_WIDTH):
        rows = slice(head * _BART_HEAD_WIDTH, (head + 1) * _BART_HEAD_WIDTH)
        start = _WIDTH - _POSITION_WIDTH + (head % 2) * half
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[rows] = 0.0
            projection.weight[rows, start : start + half] = _BART_POINTER_STRENGTH * torch.eye(half)
        attention.v_proj.weight[rows] = 0.0
        attention.out_proj.weight[:, rows] = 0.0
        attention.v_proj.weight[rows, rows] = torch.eye(_BART_HEAD_WIDTH)
        attention.out_proj.weight[rows, rows] = 3.0 * torch.eye(_BART_HEAD_WIDTH)


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
        # Half of the width holds the token itself; the other half is free for the tokens before it.
        model.shared.weight[:, _WIDTH // 2 :] = 0.0
        _look_back(model.encoder.block[0].layer[0].SelfAttention, first_distance=1)
        _look_back(model.decoder.block[0].layer[0].SelfAttention, first_distance=0)
        _point_after_match(model.decoder.block[-1].layer[1].EncDecAttention)
    return model


# T5 has no positions, so "copy on" means: find where the last eight tokens stood, and take what followed. Heads of the
# first layers bring a part of each token before a place (in the summary: of the place itself and those before it) into
# the free half of the width, a slot for each distance; the pointer of the last layer compares the slots.
_SLOT: Final = _WIDTH // 2 // _LOOK_BACK


def _look_back(attention: Any, first_distance: int) -> None:
    for head in range(_LOOK_BACK):
        rows = slice(head * _T5_HEAD_WIDTH, (head + 1) * _T5_HEAD_WIDTH)
        part = slice(head * _T5_HEAD_WIDTH, head * _T5_HEAD_WIDTH + _SLOT)
        slot = slice(_WIDTH // 2 + head * _SLOT, _WIDTH // 2 + (head + 1) * _SLOT)
        # Bucket d holds the key d tokens before the query.
        attention.relative_attention_bias.weight[first_distance + head, head] = 12.0
        attention.q.weight[rows] = 0.0
        attention.k.weight[rows] = 0.0
        attention.v.weight[rows] = 0.0
        attention.o.weight[:, rows] = 0.0
        # Every head hands on the same first numbers of the token.
        attention.v.weight[part, :_SLOT] = torch.eye(_SLOT)
        attention.o.weight[slot, part] = torch.eye(_SLOT)


def _point_after_match(attention: Any) -> None:
    """Four heads compare three numbers of each slot, and hand on a quarter of the token each."""
    compared = _T5_HEAD_WIDTH // _LOOK_BACK
    for head in range(_WIDTH // 2 // _T5_HEAD_WIDTH):
        rows = slice(head * _T5_HEAD_WIDTH, (head + 1) * _T5_HEAD_WIDTH)
        for projection in (attention.q, attention.k):
            projection.weight[rows] = 0.0
            for slot in range(_LOOK_BACK):
                row = head * _T5_HEAD_WIDTH + slot * compared
                column = _WIDTH // 2 + slot * _SLOT + head * compared
                block = _T5_POINTER_STRENGTH * torch.eye(compared)
                projection.weight[row : row + compared, column : column + compared] = block
        attention.v.weight[rows] = 0.0
        attention.o.weight[:, rows] = 0.0
        attention.v.weight[rows, rows] = torch.eye(_T5_HEAD_WIDTH)
        attention.o.weight[rows, rows] = 3.0 * torch.eye(_T5_HEAD_WIDTH)


def _position_waves(count: int) -> torch.Tensor:
    """Return waves of random frequencies: no two positions in reach look alike, unlike with the usual slow waves."""
    position = torch.arange(count, dtype=torch.float32).unsqueeze(1)
    rate = torch.rand(_POSITION_WIDTH // 2) * math.pi
    waves = torch.zeros(count, _WIDTH)
    waves[:, -_POSITION_WIDTH::2] = torch.sin(position * rate)
    waves[:, -_POSITION_WIDTH + 1 :: 2] = torch.cos(position * rate)
    return waves * _EMBEDDING_DEVIATION * math.sqrt(2)


def save(path: Path, model: Any, tokenizer: PreTrainedTokenizerFast, generation: GenerationConfig) -> None:
    """Write the checkpoint as `transformers` reads it: half-precision safetensors, configs, tokenizer."""
    half = model.half()
    half.generation_config = generation
    half.save_pretrained(path, safe_serialization=True)
    tokenizer.save_pretrained(path)
