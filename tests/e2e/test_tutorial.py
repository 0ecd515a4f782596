"""The tutorial's commands are run as a reader would, one shell for all, and its outputs compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_SECONDS, Cluster

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "sealed-text-to-summaries.md"
FENCE = re.compile(r"^```(sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "--- next ---"


def steps() -> list[tuple[str, str]]:
    """Each command block with the output that the text shows after it, if any."""
    found: list[tuple[str, str]] = []
    for language, text in FENCE.findall(TUTORIAL.read_text()):
        if language:
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    # The sandbox of these tests stands for the demo's, which is up already and stays up.
    return [(commands, output) for commands, output in found if not re.search(r"^make demo$", commands, re.MULTILINE)]


def pattern(line: str) -> str:
    """A line of the text as what it stands for: hashes, addresses, ages and blanks may differ, … is anything."""
    text = re.escape(line)
    for shown, meant in (
        (r"[0-9a-f]{12,}", r"[0-9a-f]+"),
        (r"127\\\.77(\\\.\d+)+", r"[\\d.]+"),
        (r"\b\d+s\b", r"\\w+"),
        (r"(\\ )+", r"\\s+"),
        ("…", ".*"),
    ):
        text = re.sub(shown, meant, text)
    return rf"^{text}\s*$"


def test_the_tutorial_s_commands_end_well_and_show_what_its_text_shows(cluster: Cluster, tmp_path: Path) -> None:
    cluster.apply(cluster.resource("contracts"))  # as the demo leaves it, whatever other tests did since
    cluster.wait_for_reason("Ready")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    expected = steps()
    assert len(expected) > 10
    script = "\n".join(f"echo '{MARK}'\n{commands}" for commands, _ in expected)
    script = script.replace("make demo-down", "").replace("kubectl csum why", "! kubectl csum why")  # it answers no: 1
    environment = {**os.environ, "CSUM_SANDBOX_HOME": str(cluster.home), "HOME": str(tmp_path)}
    result = subprocess.run(
        ["/bin/bash", "-euxc", script],
        cwd=tmp_path,
        env=environment,
        input="y\n",  # the one question
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    outputs = result.stdout.split(f"\n{MARK}\n")
    for (commands, output), actual in zip(expected, outputs[-len(expected) :], strict=True):
        for line in output.splitlines():
            assert re.search(pattern(line), actual, re.MULTILINE), f"{commands}shows no line {line!r} in\n{actual}"
