import json
import re
from pathlib import Path

import pytest

from summarizer.errors import ConfigurationError
from summarizer.settings import INDEX, Settings

DOCUMENTS = '[{"directory": "/mnt/remote/documents"}]'
REQUIRED = {"SUMMARIZER_DOCUMENTS": DOCUMENTS, "SUMMARIZER_MODELS": "bart-demo"}


def test_the_defaults_need_only_documents_and_models() -> None:
    settings = Settings.from_environment(REQUIRED | {"PATH": "/bin", "HOME": "/"})
    assert (settings.port, settings.max_words, settings.engine, settings.profile) == (8501, 120, "auto", "Restricted")
    assert (settings.models, str(settings.models_directory)) == (("bart-demo",), "/models")
    assert settings.show_names is False
    assert settings.token_sha256 is None


def test_every_field_is_read_from_its_variable() -> None:
    settings = Settings.from_environment(
        REQUIRED
        | {
            "SUMMARIZER_MAX_WORDS": "60",
            "SUMMARIZER_MODELS": "t5-base,bart-large-cnn",
            "SUMMARIZER_SHOW_NAMES": "true",
            "SUMMARIZER_PROFILE": "Debug",
            "SUMMARIZER_MAA": "sharedeus2.eus2.attest.azure.net",
            "SUMMARIZER_TOKEN_SHA256": "a" * 64,
        }
    )
    assert (settings.max_words, settings.show_names, settings.profile) == (60, True, "Debug")
    assert settings.models == ("t5-base", "bart-large-cnn")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUMMARIZER_PROFILE", "Relaxed"),
        ("SUMMARIZER_ENGINE", "gpu"),
        ("SUMMARIZER_MAX_WORDS", "many"),
        ("SUMMARIZER_MAX_WORDS", "0"),
        ("SUMMARIZER_MODELS", "../elsewhere"),
        ("SUMMARIZER_MODELS", "bart,,t5"),
        ("SUMMARIZER_MODELS_DIRECTORY", "relative/path"),
        ("SUMMARIZER_MAA", "https://sharedeus2.eus2.attest.azure.net/"),
        ("SUMMARIZER_GUARD", "off"),
        ("SUMMARIZER_DOCUMENTS", "/mnt/remote/documents"),
        ("SUMMARIZER_DOCUMENTS", "[]"),
        ("SUMMARIZER_DOCUMENTS", '[{"sha256": "' + "a" * 64 + '"}]'),
        ("SUMMARIZER_DOCUMENTS", '[{"directory": "/a", "pin": "x"}]'),
        ("SUMMARIZER_DOCUMENTS", '[{"directory": "/a/same"}, {"directory": "/b/same"}]'),
        ("SUMMARIZER_DOCUMENTS", '[{"directory": "/a", "key": "' + "A" * 43 + '="}]'),
        ("SUMMARIZER_COLOUR", "blue"),
    ],
)
def test_what_is_unknown_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment(REQUIRED | {name: value})


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="SUMMARIZER_MODELS is not set"):
        Settings.from_environment({"SUMMARIZER_DOCUMENTS": DOCUMENTS})


def test_a_token_put_in_place_of_its_hash_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(REQUIRED | {"SUMMARIZER_TOKEN_SHA256": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_readme_names_every_setting_and_no_other() -> None:
    readme = (Path(__file__).parents[3] / "workload" / "README.md").read_text()
    named = set(re.findall(r"SUMMARIZER_[A-Z0-9_]+", readme))
    assert named == {f"SUMMARIZER_{name.upper()}" for name in Settings.model_fields} - {"SUMMARIZER_SHARD_INDEX"}
    assert INDEX in readme


ARCHIVE = {
    "directory": "/mnt/remote/documents",
    "sha256": "a" * 64,
    "output": "https://party2.blob.core.windows.net/results/archive/",
    "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
}
SHARD = REQUIRED | {"SUMMARIZER_SHARDS": "4", "SUMMARIZER_DOCUMENTS": json.dumps([ARCHIVE])}


def test_a_shard_is_told_which_it_is_by_kubernetes_own_variable() -> None:
    settings = Settings.from_environment(SHARD | {INDEX: "3"})
    assert settings.shard is not None
    assert [number for number in range(1, 13) if settings.shard.holds(number)] == [4, 8, 12]


@pytest.mark.parametrize("index", [{}, {INDEX: "4"}, {INDEX: "-1"}, {INDEX: "one"}])
def test_a_shard_that_is_none_of_all_is_refused(index: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="JOB_COMPLETION_INDEX"):
        Settings.from_environment(SHARD | index)


def file_systems(count: int, shards: int) -> dict[str, str]:
    sets = [ARCHIVE | {"directory": f"/mnt/remote/part-{index}"} for index in range(count)]
    several = {"SUMMARIZER_DOCUMENTS": json.dumps(sets), "SUMMARIZER_SHARDS": str(shards)}
    return SHARD | several | {"SUMMARIZER_SHARD_BY": "FileSystem"}


def test_a_shard_by_file_system_reads_one_and_all_of_it() -> None:
    settings = Settings.from_environment(file_systems(3, shards=3) | {INDEX: "1"})
    assert [one.name for one in settings.reads] == ["part-1"]
    assert settings.shard is not None
    assert all(settings.shard.holds(number) for number in range(1, 13))


def test_a_shard_by_document_reads_all_file_systems() -> None:
    by_document = file_systems(3, shards=2) | {"SUMMARIZER_SHARD_BY": "Document", INDEX: "1"}
    assert [one.name for one in Settings.from_environment(by_document).reads] == ["part-0", "part-1", "part-2"]


@pytest.mark.parametrize("shards", [2, 4])
def test_file_systems_without_a_shard_and_shards_without_a_file_system_are_refused(shards: int) -> None:
    with pytest.raises(ConfigurationError, match="SUMMARIZER_SHARDS has to be 3: each file system is a shard"):
        Settings.from_environment(file_systems(3, shards) | {INDEX: "1"})


def test_a_batch_that_writes_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs an output for all documents: a batch only writes results"):
        Settings.from_environment(REQUIRED | {"SUMMARIZER_SHARDS": "4", INDEX: "0"})


def test_a_server_takes_no_shard_from_its_environment() -> None:
    assert Settings.from_environment(REQUIRED | {INDEX: "1"}).shard is None
