import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confidential_summarizer.measurement.cache import DiskCache, decode, encode
from confidential_summarizer.measurement.layer import MeasuredLayer


def layer(number: int = 1) -> MeasuredLayer:
    return MeasuredLayer(f"sha256:{number:064x}", f"{number:064x}", 10 * number, "gzip", 1, ("a/b",))


def test_what_was_put_is_found_again_by_another_cache_object(tmp_path: Path) -> None:
    DiskCache(tmp_path).put(layer())
    assert DiskCache(tmp_path).get(layer().diff_id) == layer()
    assert DiskCache(tmp_path).get(layer(2).diff_id) is None


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", "null", json.dumps({"version": 1, "layer": {}, "digest": "x"})]
)
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, damage: str) -> None:
    cache = DiskCache(tmp_path)
    cache.put(layer())
    (path,) = tmp_path.rglob("*.json")
    path.write_text(damage)
    assert cache.get(layer().diff_id) is None


def test_an_entry_under_another_diff_id_counts_as_absent(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put(layer(1))
    (path,) = tmp_path.rglob("*.json")
    wrong = layer(2).diff_id.removeprefix("sha256:")
    (tmp_path / wrong[:2]).mkdir(exist_ok=True)
    path.rename(tmp_path / wrong[:2] / f"{wrong}.json")
    assert cache.get(layer(2).diff_id) is None


def test_a_changed_root_hash_counts_as_absent() -> None:
    text = encode(layer()).replace(f'"root_hash": "{layer().root_hash}"', f'"root_hash": "{"f" * 64}"')
    assert text != encode(layer())
    assert decode(text, layer().diff_id) is None


@pytest.mark.parametrize("diff_id", ["", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:abc"])
def test_a_diff_id_that_is_none_is_never_looked_up(tmp_path: Path, diff_id: str) -> None:
    assert DiskCache(tmp_path).get(diff_id) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cache = DiskCache(file / "below")
    cache.put(layer())
    assert cache.get(layer().diff_id) is None


def put_many(folder: Path) -> None:
    cache = DiskCache(folder)
    for number in range(50):
        cache.put(layer(number))


@pytest.mark.slow
def test_several_processes_write_the_same_entries_without_harm(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=put_many, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert all(DiskCache(tmp_path).get(layer(number).diff_id) == layer(number) for number in range(50))
    assert not list(tmp_path.rglob(".new-*"))


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_text_is_an_entry_or_none(text: str, diff_id: str) -> None:
    assert decode(text, diff_id) is None
