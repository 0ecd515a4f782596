import errno
import os
import stat
from pathlib import Path

import pytest

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing import create_key_file, is_private, new_key, read_key


def test_a_new_key_file_holds_32_bytes_that_only_its_owner_reads(tmp_path: Path) -> None:
    key = new_key()

    create_key_file(tmp_path / "key", key)

    assert read_key(tmp_path / "key") == key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key_file(tmp_path / "key", new_key())

    with pytest.raises(SealingError, match="exists"):
        create_key_file(tmp_path / "key", new_key())


def test_a_place_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="No such file or directory"):
        create_key_file(tmp_path / "nowhere" / "key", new_key())


def test_a_full_disk_is_named_and_leaves_no_part_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SealingError, match="No space left on device"):
        create_key_file(tmp_path / "key", new_key())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o620, False), (0o601, False)]
)
def test_a_key_file_is_private_where_nobody_else_may_touch_it(tmp_path: Path, mode: int, private: bool) -> None:
    create_key_file(tmp_path / "key", new_key())
    (tmp_path / "key").chmod(mode)
    assert is_private(tmp_path / "key") is private


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"ab" * 32, b"x" * 5000])
def test_a_file_of_another_length_is_no_key_and_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    length = f"at least {4096}" if len(content) > 4096 else len(content)
    with pytest.raises(SealingError, match=f"holds {length} bytes, a key has 32") as caught:
        read_key(tmp_path / "key")
    assert "xxx" not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="nowhere"):
        read_key(tmp_path / "nowhere")
