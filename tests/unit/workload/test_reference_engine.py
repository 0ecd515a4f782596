"""Both engines on the same weights: tiny random T5 and BART models, made here as `transformers` writes real ones."""

import itertools

import pytest

from summarizer.content import read_model
from summarizer.engine.base import read_settings
from summarizer.engine.choice import load_engine
from summarizer.errors import ModelError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

from summarizer.convert import convert  # noqa: E402

pytestmark = pytest.mark.reference

VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", "summarize:", *(f"w{i}" for i in range(60))]
# No two texts with the same words in the same places; the step is prime to the number of words.
WORDS = [f"w{7 * i % 60}" for i in range(60)]
TEXTS = [" ".join(itertools.islice(itertools.cycle(WORDS), 11 * i, 16 * i + 6)) for i in range(4)]
GREEDY = {"max_length": 20, "min_length": 8, "num_beams": 1, "no_repeat_ngram_size": 3}
BEAMS = {"max_length": 20, "min_length": 8, "num_beams": 4, "length_penalty": 2.0, "early_stopping": True}


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
    else:
        config = transformers.T5Config(
            **common, decoder_start_token_id=1, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=64,
            initializer_factor=2.0, task_specific_params={"summarization": search | {"prefix": "summarize: "}},
        )  # fmt: skip
        model = transformers.T5ForConditionalGeneration(config)
    if architecture == "bart":
        model.generation_config.forced_bos_token_id = 0
    model.save_pretrained(path)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    return path


@pytest.mark.parametrize("search", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize("architecture", ["bart", "t5"])
def test_both_engines_give_the_same_summaries(architecture, search, tmp_path) -> None:
    model = make(tmp_path, architecture, search)
    convert(model, model / "ctranslate2", "float32")
    reference, converted = (
        load_engine(choice, read_model(model)).summarize(TEXTS, 100) for choice in ("reference", "ctranslate2")
    )
    assert all(reference)
    assert len(set(reference)) > 1
    assert converted == reference


def test_the_reference_engine_is_chosen_where_nothing_is_converted(tmp_path) -> None:
    engine = load_engine("auto", read_model(make(tmp_path, "t5", GREEDY)))
    assert engine.name == "reference"
    # The prefix is one token here, and the end token is another.
    assert engine.source_tokens == 62


def test_settings_survive_being_saved_by_transformers(tmp_path) -> None:
    settings = read_settings(read_model(make(tmp_path, "bart", BEAMS)))
    assert (settings.beams, settings.min_length, settings.forced_bos) == (4, 8, 0)


def test_weights_in_another_format_than_safetensors_are_refused(tmp_path) -> None:
    model = make(tmp_path, "bart", GREEDY)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_engine("reference", read_model(model))
