"""Commands where a shell closed a stream, the disk is full, or the locale is old: a sentence, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = f"{sys.executable} -c 'from confidential_summarizer.cli import main; main()'"


def shell(line: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Run a command in a shell; return how it ended, what it wrote and what it told."""
    ended = subprocess.run(
        ["sh", "-c", f"{PROGRAM} {line}"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def test_a_full_disk_is_a_sentence_that_names_it(tmp_path: Path) -> None:
    code, _, told = shell("results new-key results.key > /dev/full", tmp_path)
    assert code == 5
    assert told.endswith("Error: This machine refused: [Errno 28] No space left on device.\n")


def test_a_command_works_with_nobody_who_reads_and_with_nothing_to_read(tmp_path: Path) -> None:
    assert shell("results new-key results.key >&- 2>&-", tmp_path) == (0, "", "")
    code, _, told = shell("policy explain - <&-", tmp_path)
    assert (code, told) == (1, "No refusal by a policy in this text.\n")


def test_a_locale_without_a_character_shows_its_number(tmp_path: Path) -> None:
    code, written, _ = shell("results new-key schlüssel.key", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0
    assert "schl\\xfcssel.key" in written
