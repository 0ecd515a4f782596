"""The largest image that is promised: 4 GiB, sealed, checked with e2fsck and listed, without root's device mapper."""

import os
import subprocess
from pathlib import Path

import pytest

from confidential_summarizer.sealing import new_key, seal
from confidential_summarizer.sealing.opening import opened
from confidential_summarizer.sealing.tools import find_tool

GIBIBYTE = 1024**3


@pytest.mark.slow
def test_four_gibibytes_can_be_sealed_and_are_sound(tmp_path: Path) -> None:
    directory = tmp_path / "documents"
    directory.mkdir()
    marks = {}
    with (directory / "large").open("wb") as file:
        for number in range(8):
            marks[number * GIBIBYTE // 2] = os.urandom(4096)
            file.seek(number * GIBIBYTE // 2)
            file.write(marks[number * GIBIBYTE // 2])
        file.truncate(4 * GIBIBYTE - 4096)
    key = new_key()

    image = seal(directory, tmp_path / "image", key, size=4 * GIBIBYTE)

    assert image.plan.size == 4 * GIBIBYTE
    with opened(image.path, tmp_path, key) as file_system:
        checked = subprocess.run(
            [find_tool("e2fsck"), "-fn", file_system.path],
            pass_fds=(file_system.descriptor,),
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout
        subprocess.run(
            [find_tool("debugfs"), "-R", f"dump /large {tmp_path / 'back'}", file_system.path],
            pass_fds=(file_system.descriptor,),
            check=True,
        )
    with (tmp_path / "back").open("rb") as file:
        for offset, mark in marks.items():
            file.seek(offset)
            assert file.read(4096) == mark
