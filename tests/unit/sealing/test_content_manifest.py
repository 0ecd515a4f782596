"""The content manifest: one form, written by `csum seal` and worked out again by the summarizer."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing import new_key, read_manifest, seal
from summarizer.content import read_content
from summarizer.pins import DigestPin

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..", "lost+found") and len(name.encode()) < 250
)
FOLDERS = st.recursive(
    st.binary(max_size=40), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
).filter(lambda tree: isinstance(tree, dict))


def write(folder: Path, tree: dict[str, object]) -> int:
    """Write a tree of files, and return how many there are."""
    count = 0
    folder.mkdir()
    for name, inner in tree.items():
        if isinstance(inner, dict):
            count += write(folder / name, inner)
        else:
            (folder / name).write_bytes(inner)  # type: ignore[arg-type]
            count += 1
    return count


@settings(max_examples=60, deadline=None)
@given(tree=FOLDERS)
def test_product_and_workload_work_out_the_same_digest(tmp_path_factory, tree) -> None:
    folder = tmp_path_factory.mktemp("content") / "root"
    if write(folder, tree) == 0:
        with pytest.raises(SealingError, match="no file to seal"):
            read_manifest(folder)
        return
    pin = read_manifest(folder).sha256

    assert read_content(folder, "the documents", pin=DigestPin(pin)).sha256 == pin


def test_the_canonical_form_is_the_documented_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_bytes(b"x")
    (tmp_path / "a-b.txt").write_bytes(b"")

    empty = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    x = b"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert read_manifest(tmp_path).canonical() == empty + b" 0 a-b.txt\0" + x + b" 1 a/b.txt\0"


def make_link(path: Path) -> None:
    path.symlink_to("own.txt")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("make", [make_link, os.mkfifo, make_socket])
def test_what_the_summarizer_would_refuse_is_not_sealed(tmp_path: Path, make) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "own.txt").write_text("own")
    make(folder / "x")

    with pytest.raises(SealingError, match="refuses"):
        seal(folder, tmp_path / "image", new_key())
    assert not (tmp_path / "image").exists()


def test_an_empty_folder_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "d" / "inner").mkdir(parents=True)

    with pytest.raises(SealingError, match="no file to seal"):
        seal(tmp_path / "d", tmp_path / "image", new_key())
