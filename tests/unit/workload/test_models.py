"""Models are described at once, loaded when asked for, and bounded in memory."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from summarizer import models as models_module
from summarizer.errors import ManifestError
from summarizer.manifest import write_manifest
from summarizer.models import Models, OfferedModel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch, lead_engine) -> Path:
    for name in "abc":
        path = tmp_path / name
        path.mkdir()
        (path / "MODEL.md").write_text(f"---\nname: Model {name}\n---\n")
        (path / "weights").write_bytes(name.encode() * 1000)
        write_manifest(path)
    monkeypatch.setattr(models_module, "load_engine", lambda choice, files: lead_engine)
    return tmp_path


def offer(
    folder: Path, memory: int, names: tuple[str, ...] = ("a", "b", "c")
) -> tuple[Models, list[tuple[OfferedModel, ...]]]:
    told: list[tuple[OfferedModel, ...]] = []
    models = Models(folder, names, None, "auto", memory=memory, report=told.append)
    models.start()
    return models, told


def loaded(told: list[tuple[OfferedModel, ...]]) -> str:
    return "".join(model.name for model in told[-1] if model.engine)


def test_all_are_described_and_the_first_is_loaded(folder: Path) -> None:
    _, told = offer(folder, 10_000)
    assert [(model.name, model.card.name) for model in told[-1]] == [
        ("a", "Model a"),
        ("b", "Model b"),
        ("c", "Model c"),
    ]
    assert loaded(told) == "a"


def test_the_one_that_was_not_asked_for_longest_goes_when_memory_ends(folder: Path) -> None:
    models, told = offer(folder, 5000)
    models.engine("b")
    models.engine("a")
    models.engine("c")
    assert loaded(told) == "ac"
    models.engine("b")
    assert loaded(told) == "bc"


def test_one_model_is_loaded_though_it_is_larger_than_the_bound(folder: Path) -> None:
    models, told = offer(folder, 10)
    models.engine("b")
    assert loaded(told) == "b"


def test_a_model_without_a_manifest_is_told_at_the_start(folder: Path) -> None:
    (folder / "c" / "SHA256SUMS").unlink()
    with pytest.raises(ManifestError, match="c has no SHA256SUMS"):
        offer(folder, 10_000)


def test_a_model_that_is_damaged_is_refused_when_it_is_asked_for(folder: Path) -> None:
    models, _ = offer(folder, 10_000)
    (folder / "b" / "weights").write_bytes(b"other")
    with pytest.raises(ManifestError, match="weights"):
        models.engine("b")


GROWTH = """
import json, sys
from pathlib import Path
from summarizer.content import read_model
from summarizer.engine.choice import load_engine

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

files, kept, sizes = read_model(Path(sys.argv[1])), [], [resident()]
given = {path: data for path, data in files.items() if path != "model.safetensors"}
for _ in range(9):
    kept.append(load_engine("ctranslate2", given))
    sizes.append(resident())
print(json.dumps([sum(map(len, given.values())), [b - a for a, b in zip(sizes, sizes[1:])]]))
"""


def test_what_is_counted_for_a_model_is_what_it_keeps_in_memory() -> None:
    """One that counted its files alone would load twice what fits, and the kernel would end the group."""
    model = Path(__file__).parents[3] / "examples" / "models" / "bart-demo"
    done = subprocess.run([sys.executable, "-c", GROWTH, str(model)], check=True, capture_output=True, text=True)
    given, growths = json.loads(done.stdout)
    fixed = 1 << 20  # of any engine, whatever its size
    assert given + fixed < statistics.median(growths) < models_module._COPIES * given + fixed
