"""A model of the user's own in the demo: one that is made already, or a checkpoint."""

from pathlib import Path

import pytest

from confidential_summarizer.errors import SpecError
from demo import model
from demo.model import prepare_model
from summarizer.manifest import write_manifest


def made(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MODEL.md").write_text(text)
    write_manifest(folder)
    return folder


def taken(source: Path, work: Path) -> dict[str, str]:
    folder, name = prepare_model(str(source), work, print)
    assert [one.name for one in folder.iterdir()] == [name]
    return {name: (folder / name / "MODEL.md").read_text()}


def test_a_model_that_is_made_already_is_taken_as_it_is_and_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda _name: None)
    assert taken(made(tmp_path / "models" / "T5_Small", "one"), tmp_path / "work") == {"t5-small": "one"}
    assert taken(made(tmp_path / "models" / "T5_Small", "two"), tmp_path / "work") == {"t5-small": "two"}
    assert taken(made(tmp_path / "models" / "bart", "three"), tmp_path / "work") == {"bart": "three"}


def test_a_checkpoint_without_what_converts_it_is_told_what_brings_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SpecError, match="needs torch and transformers"):
        prepare_model(str(tmp_path), tmp_path / "work", print)
