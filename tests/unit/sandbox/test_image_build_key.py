import dataclasses

import pytest

from azure_sandbox.image_build import Image


@pytest.fixture
def image(tmp_path):
    for name in ("context/app", "context/other", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "Containerfile").write_text("FROM scratch\n")
    (tmp_path / "context/app/main.py").write_text("print(1)\n")
    (tmp_path / "wheels/a.whl").write_text("a")
    return Image(
        reference="party1.azurecr.io/summarizer:demo",
        containerfile=tmp_path / "Containerfile",
        context=tmp_path / "context",
        base=tmp_path / "base-1.tar",
        contexts={"wheels": tmp_path / "wheels"},
        files=("app",),
    )


@pytest.mark.parametrize("changed", ["Containerfile", "context/app/main.py", "wheels/a.whl"])
def test_the_key_changes_with_every_input(image, tmp_path, changed):
    before = image.key

    (tmp_path / changed).write_text("changed")

    assert image.key != before


def test_the_key_changes_with_the_base_and_when_a_file_becomes_executable(image, tmp_path):
    before = image.key

    assert dataclasses.replace(image, base=tmp_path / "base-2.tar").key != before
    (tmp_path / "context/app/main.py").chmod(0o755)
    assert image.key != before


def test_the_key_stays_when_something_changes_that_is_not_in_the_image(image, tmp_path):
    before = image.key

    (tmp_path / "context/other/notes.txt").write_text("changed")
    (tmp_path / "context/app/__pycache__").mkdir()
    (tmp_path / "context/app/__pycache__/main.pyc").write_text("changed")

    assert image.key == before
