"""The host adds variables of its own to those that the policy pins: names that end in _PORT pass every policy of pods."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from summarizer.errors import ConfigurationError
from summarizer.settings import refuse_doubles


def started_with(tmp_path: Path, *environment: str) -> subprocess.CompletedProcess[str]:
    """Start the summarizer with exactly these variables, doubles included, which Python's own calls cannot."""
    arguments = [sys.executable, "-m", "summarizer"]
    program = (
        "import ctypes\n"
        "def words(w): return (ctypes.c_char_p * (len(w) + 1))(*[x.encode() for x in w], None)\n"
        f"ctypes.CDLL(None).execve({arguments[0].encode()!r}, words({arguments!r}), words({list(environment)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_port_of_the_hosts_is_refused(tmp_path: Path) -> None:
    result = started_with(
        tmp_path, "SUMMARIZER_PORT=9999", "SUMMARIZER_DOCUMENTS=/mnt/remote/documents", "SUMMARIZER_PORT=8501"
    )

    assert result.returncode == 3, result.stderr
    assert "SUMMARIZER_PORT is there twice" in json.loads(result.stdout)["reason"]


@pytest.mark.parametrize("environment", [b"", b"A=1\0A=2\0", b"SUMMARIZER_PORT=1\0SUMMARIZER_MAA=2\0", b"\0=\0x"])
def test_what_is_not_ours_or_there_once_is_left_alone(environment: bytes) -> None:
    refuse_doubles(environment)


def test_a_value_that_looks_like_a_variable_is_none() -> None:
    refuse_doubles(b"SUMMARIZER_PORT=1\0OTHER=SUMMARIZER_PORT=2\0")
    with pytest.raises(ConfigurationError):
        refuse_doubles(b"SUMMARIZER_PORT=1\0SUMMARIZER_PORT=1\0")
