"""`csum models prepare`: what it needs, and what it calls."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from confidential_summarizer.cli import models
from confidential_summarizer.cli.models import model_name
from tests.support.data_owner import csum


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "T5_Small").mkdir()
    return tmp_path / "T5_Small"


def test_what_is_not_installed_is_named_with_what_brings_it(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None if name == "torch" else name)
    refused = csum("models", "prepare", checkpoint, "--quantization", "float32")
    assert refused.code == 3
    assert "needs torch, not installed here: run `pip install './workload[reference]'`" in refused.err


def test_precisions_are_compared_or_one_is_named(checkpoint: Path) -> None:
    assert csum("models", "prepare", checkpoint).code == 2
    assert csum("models", "prepare", checkpoint / "none", "--quantization", "float32").code == 3


def test_the_workloads_converter_makes_the_model_under_a_name_that_readers_can_choose(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    status = SimpleNamespace(returncode=0)
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(models.subprocess, "run", lambda command, **_: called.append(command) or status)
    arguments = (
        "models",
        "prepare",
        checkpoint,
        "--out",
        tmp_path / "models",
        "--quantization",
        "float16",
        "-o",
        "json",
    )
    made = csum(*arguments)
    assert (made.code, made.data["model"]) == (0, "t5-small")
    convert = [sys.executable, "-P", "-m", "summarizer.convert", str(checkpoint)]
    assert called == [[*convert, str(tmp_path / "models" / "t5-small"), "--quantization", "float16"]]
    status.returncode = 1
    assert csum(*arguments).code == 3


def test_a_name_that_no_resource_takes_is_refused(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: name)
    assert csum("models", "prepare", checkpoint, "--name", "../x", "--quantization", "float32").code == 3
    assert model_name("facebook--bart.large_CNN") == "facebook-bart-large-cnn"
