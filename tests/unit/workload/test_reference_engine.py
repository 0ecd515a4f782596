"""Both engines on the same weights: tiny random models of each family, made here as `transformers` writes real ones."""

import itertools
import json
from pathlib import Path

import pytest

from summarizer.card import read_card
from summarizer.content import read_model
from summarizer.engine.base import read_settings
from summarizer.engine.choice import load_engine
from summarizer.errors import ModelError
from summarizer.manifest import verify_manifest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

from summarizer.convert import convert, prepare  # noqa: E402

pytestmark = pytest.mark.reference

VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", "summarize:", *(f"w{i}" for i in range(60))]
# No two texts with the same words in the same places; the step is prime to the number of words.
WORDS = [f"w{7 * i % 60}" for i in range(60)]
TEXTS = [" ".join(itertools.islice(itertools.cycle(WORDS), 11 * i, 16 * i + 6)) for i in range(4)]
MANY = [" ".join(WORDS[(7 * i + j * j) % 60] for j in range(5 + i % 50)) for i in range(100)]
GREEDY = {"max_length": 20, "min_length": 8, "num_beams": 1, "no_repeat_ngram_size": 3}
BEAMS = {"max_length": 20, "num_beams": 4, "length_penalty": 2.0, "early_stopping": True}
BANS = BEAMS | {"min_length": 8, "no_repeat_ngram_size": 3}


def make(path, architecture, search):
    torch.manual_seed(7)
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "<s> $A </s>" if architecture == "bart" else "$A </s>"
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 2)])
    common = {"vocab_size": len(VOCABULARY), "pad_token_id": 1, "eos_token_id": 2, "d_model": 32}
    if architecture == "bart":
        config = transformers.BartConfig(
            **common, bos_token_id=0, decoder_start_token_id=2, forced_eos_token_id=None,
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, init_std=0.4,
            task_specific_params={"summarization": search},
        )  # fmt: skip
        model = transformers.BartForConditionalGeneration(config)
    elif architecture == "pegasus":
        config = transformers.PegasusConfig(
            **common, decoder_start_token_id=1, forced_eos_token_id=None, scale_embedding=True,
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, init_std=0.4,
            task_specific_params={"summarization": search},
        )  # fmt: skip
        model = transformers.PegasusForConditionalGeneration(config)
    elif architecture == "led":
        config = transformers.LEDConfig(
            **common, bos_token_id=0, decoder_start_token_id=2, attention_window=[8, 8],
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
            encoder_ffn_dim=64, decoder_ffn_dim=64, max_encoder_position_embeddings=256,
            max_decoder_position_embeddings=64, init_std=0.4, task_specific_params={"summarization": search},
        )  # fmt: skip
        model = transformers.LEDForConditionalGeneration(config)
    else:
        config = transformers.T5Config(
            **common, decoder_start_token_id=1, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=64,
            initializer_factor=2.0, task_specific_params={"summarization": search | {"prefix": "summarize: "}},
        )  # fmt: skip
        model = transformers.T5ForConditionalGeneration(config)
        with torch.no_grad():
            # No trained model says its start token again; bans count it as a part of the summary only in transformers.
            model.get_input_embeddings().weight[config.decoder_start_token_id] *= 0.05
    if architecture == "bart":
        model.generation_config.forced_bos_token_id = 0
    model.save_pretrained(path)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    return path


@pytest.mark.parametrize("search", [GREEDY, BEAMS, BANS], ids=["greedy", "beams", "beams with bans"])
@pytest.mark.parametrize("architecture", ["bart", "pegasus", "t5"])
def test_both_engines_give_the_same_summaries(architecture, search, tmp_path) -> None:
    model = make(tmp_path, architecture, search)
    convert(model, model / "ctranslate2", "float32")
    reference, converted = (
        load_engine(choice, read_model(model)).summarize(MANY, 100) for choice in ("reference", "ctranslate2")
    )
    assert all(reference)
    assert len(set(reference)) > 10
    # Of random weights, two next words are at times equally likely up to rounding.
    assert sum(one != other for one, other in zip(converted, reference, strict=True)) <= 1


def test_the_reference_engine_is_chosen_where_nothing_is_converted(tmp_path) -> None:
    engine = load_engine("auto", read_model(make(tmp_path, "t5", GREEDY)))
    assert engine.name == "reference"
    # The prefix is one token here, and the end token is another.
    assert engine.source_tokens == 62


def test_settings_survive_being_saved_by_transformers(tmp_path) -> None:
    settings = read_settings(read_model(make(tmp_path, "bart", BEAMS | {"min_length": 8})))
    assert (settings.beams, settings.min_length, settings.forced_bos) == (4, 8, 0)


def test_weights_in_another_format_than_safetensors_are_refused(tmp_path) -> None:
    model = make(tmp_path, "bart", GREEDY)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_engine("reference", read_model(model))


def test_a_family_that_ctranslate2_does_not_run_is_read_whole_by_the_reference_engine(tmp_path) -> None:
    model = make(tmp_path / "led", "led", GREEDY)
    with pytest.raises(ModelError, match="does not run LED"):
        convert(model, model / "ctranslate2")
    engine = load_engine("auto", read_model(model))
    assert engine.name == "reference"
    long = " ".join(itertools.islice(itertools.cycle(WORDS), 250))
    assert engine.source_tokens > 250
    other = " ".join([*long.split()[:125], *(f"w{i % 60}" for i in range(125))])
    alone = [engine.summarize([text], 100)[0] for text in (long, other)]
    # What stands far behind the window of the first words changes the summary, and what shares the batch does not.
    assert alone[0] != alone[1]
    assert engine.summarize([long, other], 100) == alone


@pytest.mark.parametrize("architecture", ["bart", "pegasus", "t5", "led"])
def test_a_checkpoint_becomes_a_model_directory_that_is_complete(architecture, tmp_path) -> None:
    checkpoint = make(tmp_path / "Checkpoint", architecture, GREEDY)
    losses = prepare(checkpoint, tmp_path / "models" / "mine", TEXTS)
    files = read_model(tmp_path / "models" / "mine")
    verify_manifest("mine", files)
    card = read_card("mine", files)
    assert dict(card.facts)["Converted from"] == "Checkpoint"
    assert all(load_engine("auto", files).summarize(TEXTS, 100))
    if architecture == "led":
        assert losses == []
        return
    assert "model.safetensors" not in files
    assert losses[-1].alike >= 0.95
    assert all(loss.alike < 0.95 for loss in losses[:-1])
    assert dict(card.facts)["Precision of the weights"] == losses[-1].quantization


def test_a_precision_is_taken_without_comparing_and_the_card_says_so(tmp_path) -> None:
    checkpoint = make(tmp_path / "checkpoint", "t5", GREEDY)
    assert prepare(checkpoint, tmp_path / "mine", [], "int8_float32") == []
    assert dict(read_card("mine", read_model(tmp_path / "mine")).facts)["Loss by the precision"] == "not measured"
    with pytest.raises(ModelError, match="is there already"):
        prepare(checkpoint, tmp_path / "mine", TEXTS)
    with pytest.raises(ModelError, match="no texts to compare"):
        prepare(checkpoint, tmp_path / "other", [])
    with pytest.raises(ModelError, match="has no config"):
        prepare(tmp_path, tmp_path / "other", TEXTS)


def cut_short(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])


def in_another_format(weights: Path) -> None:
    weights.rename(weights.with_name("pytorch_model.bin"))


def without_a_tokenizer(weights: Path) -> None:
    weights.with_name("tokenizer.json").unlink()


def without_its_first_token(weights: Path) -> None:
    file = weights.with_name("tokenizer_config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"bos_token": None}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_short, "is it whole"),
        (in_another_format, "has no safetensors"),
        (without_a_tokenizer, "no tokenizer.json"),
        (without_its_first_token, "cannot be loaded"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused_and_leaves_nothing_that_would_be_sealed(
    spoil, said, tmp_path
) -> None:
    checkpoint = make(tmp_path / "checkpoint", "bart", GREEDY)
    spoil(checkpoint / "model.safetensors")
    with pytest.raises(ModelError, match=said):
        prepare(checkpoint, tmp_path / "models" / "mine", [], "float32")
    assert not (tmp_path / "models" / "mine").exists()
