"""The limits of the container, not of the machine, decide on threads and on what is kept in memory."""

import os
from pathlib import Path

import pytest

from summarizer.cores import available_cores, available_memory


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000", 1), ("150000 100000", 1), ("max 100000", None)])
def test_threads_follow_the_quota(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_without_a_limit_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = available_memory(tmp_path)
    (tmp_path / "memory.max").write_text("1048576\n")
    assert available_memory(tmp_path) == 1048576 < unlimited
