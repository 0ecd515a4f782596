"""The settings are read from the files of real checkpoints; the values below are theirs."""

import json

import pytest

from summarizer.content import read_model
from summarizer.engine.base import read_settings
from summarizer.engine.families import TITLES
from summarizer.errors import ModelError

T5_SMALL = {
    "model_type": "t5",
    "n_positions": 512,
    "decoder_start_token_id": 0,
    "task_specific_params": {
        "summarization": {
            "early_stopping": True,
            "length_penalty": 2.0,
            "max_length": 200,
            "min_length": 30,
            "no_repeat_ngram_size": 3,
            "num_beams": 4,
            "prefix": "summarize: ",
        },
        "translation_en_to_de": {"prefix": "translate English to German: "},
    },
}
BART_LARGE_CNN = {
    "model_type": "bart",
    "max_position_embeddings": 1024,
    "task_specific_params": {
        "summarization": {
            "early_stopping": True,
            "length_penalty": 2.0,
            "max_length": 142,
            "min_length": 56,
            "no_repeat_ngram_size": 3,
            "num_beams": 4,
        }
    },
}


def write(path, config, generation=None):
    (path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (path / "generation_config.json").write_text(json.dumps(generation))
    return path


def test_t5_small_wants_its_prefix_and_512_tokens(tmp_path) -> None:
    settings = read_settings(read_model(write(tmp_path, T5_SMALL, {"decoder_start_token_id": 0})))
    assert (settings.prefix, settings.source_limit, settings.beams) == ("summarize: ", 512, 4)
    assert (settings.min_length, settings.max_length, settings.length_penalty) == (30, 200, 2.0)
    assert settings.forced_bos is None


def test_bart_large_cnn_wants_1024_tokens_and_its_forced_start(tmp_path) -> None:
    settings = read_settings(read_model(write(tmp_path, BART_LARGE_CNN, {"forced_bos_token_id": 0, "num_beams": 4})))
    assert (settings.prefix, settings.source_limit, settings.forced_bos) == ("", 1024, 0)
    assert (settings.no_repeat_ngram, settings.early_stopping) == (3, True)


def test_settings_at_the_top_of_an_old_config_count(tmp_path) -> None:
    settings = read_settings(
        read_model(write(tmp_path, {"model_type": "bart", "max_position_embeddings": 8, "num_beams": 2}))
    )
    assert settings.beams == 2


def test_max_words_shortens_a_summary_also_below_the_models_minimum(tmp_path) -> None:
    settings = read_settings(read_model(write(tmp_path, BART_LARGE_CNN)))
    assert settings.bounded_length(1000) == 142
    assert settings.bounded_length(40) == 82
    assert settings.bounded_length(10) == settings.least_length(10) == 22


def test_another_kind_of_model_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=f"one of these families: {TITLES}"):
        read_settings(read_model(write(tmp_path, {"model_type": "gpt2"})))


def test_a_directory_without_a_config_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        read_settings(read_model(tmp_path))
