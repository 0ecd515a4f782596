"""The host adds variables of its own to those that the policy pins: names that end in _PORT pass every policy of pods."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from confidential_summarizer.api.batch import SHARD_INDEX
from confidential_summarizer.policy.parsing import parse_policy
from summarizer.errors import ConfigurationError
from summarizer.settings import refuse_doubles
from tests.unit.targets.test_batch import desired


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


def test_a_second_shard_in_one_group_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="JOB_COMPLETION_INDEX is there twice"):
        refuse_doubles(b"JOB_COMPLETION_INDEX=0\0JOB_COMPLETION_INDEX=1\0")


@pytest.mark.parametrize(
    "smuggled",
    [
        "LD_PRELOAD=/x:JOB_COMPLETION_INDEX=1",
        "JOB_COMPLETION_INDEX=1:LD_PRELOAD=/x",
        "JOB_COMPLETION_INDEX=",
        "XJOB_COMPLETION_INDEX=1",
    ],
)
def test_the_policy_of_a_batch_lets_a_shard_be_a_number_and_nothing_else_in(smuggled: str) -> None:
    rules = parse_policy(desired().derivation.policy.text).containers[0].env_rules
    # As guests before May 2025 look for it: anywhere in the variable.
    (pattern,) = [rule.pattern for rule in rules if SHARD_INDEX in rule.pattern]
    assert re.search(pattern, f"{SHARD_INDEX}=17")
    assert not re.search(pattern, smuggled)
