from pathlib import Path

import pytest

from confidential_summarizer.errors import SealingError
from confidential_summarizer.sealing import parse_size, plan_file_system


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 << 20), ("64M", 64 << 20), ("1.5g", 3 << 29), ("4096", 4096), ("8 KB", 8192), ("12B", 12)],
)
def test_sizes_are_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1", "1TiB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SealingError):
        parse_size(text)


def test_the_smallest_image_is_a_mebibyte(tmp_path: Path) -> None:
    assert plan_file_system(tmp_path).size == 1 << 20


def test_there_is_room_to_spare(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 << 30)

    plan = plan_file_system(tmp_path)
    assert plan.content == 4 << 30
    assert 1.04 < plan.size / (4 << 30) < 1.1


def test_files_that_other_users_cannot_read_are_listed(tmp_path: Path) -> None:
    (tmp_path / "private").touch(mode=0o600)
    (tmp_path / "public").touch(mode=0o644)
    tmp_path.chmod(0o755)

    assert plan_file_system(tmp_path).unreadable == ("private",)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SealingError, match="no directory"):
        plan_file_system(tmp_path / "file")
