import subprocess

import pytest

from summarizer.content import read_model
from summarizer.errors import ManifestError
from summarizer.manifest import MANIFEST_NAME, verify_manifest, write_manifest


@pytest.fixture
def model(tmp_path):
    (tmp_path / "ctranslate2").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "ctranslate2" / "model.bin").write_bytes(b"weights")
    write_manifest(tmp_path)
    return tmp_path


def test_an_untouched_directory_verifies_and_has_an_identity(model) -> None:
    digest = verify_manifest(model.name, read_model(model))
    assert len(digest) == 64


def test_the_manifest_is_what_sha256sum_reads(model) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", MANIFEST_NAME], cwd=model, check=True)


def test_a_changed_file_is_named(model) -> None:
    (model / "ctranslate2" / "model.bin").write_bytes(b"other weights")
    with pytest.raises(ManifestError, match=r"ctranslate2/model\.bin .* differs"):
        verify_manifest(model.name, read_model(model))


def test_an_extra_file_is_refused(model) -> None:
    (model / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ManifestError, match=r"pytorch_model\.bin .* not in the manifest"):
        verify_manifest(model.name, read_model(model))


def test_a_missing_file_is_refused(model) -> None:
    (model / "config.json").unlink()
    with pytest.raises(ManifestError, match=r"config\.json .* is missing"):
        verify_manifest(model.name, read_model(model))


def test_a_missing_manifest_says_how_to_write_one(model) -> None:
    (model / MANIFEST_NAME).unlink()
    with pytest.raises(ManifestError, match=r"summarizer\.manifest"):
        verify_manifest(model.name, read_model(model))


@pytest.mark.parametrize("line", ["no digest", f"{'a' * 64} one-blank", f"{'A' * 64}  config.json"])
def test_a_malformed_line_is_refused(model, line) -> None:
    (model / MANIFEST_NAME).write_text(line + "\n")
    with pytest.raises(ManifestError, match="line 1"):
        verify_manifest(model.name, read_model(model))
