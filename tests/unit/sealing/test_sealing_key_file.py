import stat
from pathlib import Path

import pytest

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing import create_key_file, new_key, read_key


def test_a_new_key_file_holds_32_bytes_that_only_its_owner_reads(tmp_path: Path) -> None:
    key = new_key()

    create_key_file(tmp_path / "key", key)

    assert read_key(tmp_path / "key") == key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key_file(tmp_path / "key", new_key())

    with pytest.raises(SealingError, match="exists"):
        create_key_file(tmp_path / "key", new_key())


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"ab" * 32, b"x" * 5000])
def test_a_file_of_another_length_is_no_key_and_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(SealingError, match="a key has 32") as caught:
        read_key(tmp_path / "key")
    assert "xxx" not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="nowhere"):
        read_key(tmp_path / "nowhere")
