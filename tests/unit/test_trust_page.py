"""The page on what is proved names tests: they are there, and no claim is without one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/trust.md").read_text(encoding="utf-8")
FILES = [ROOT / name for name in dict.fromkeys(re.findall(r"`(tests/[a-z0-9_/]+\.py)`", PAGE))]
NOBODYS = "no test"
"""What an item says that no test can hold."""


def test_every_test_that_the_page_names_is_in_a_file_that_it_names() -> None:
    assert [file for file in FILES if not file.is_file()] == []
    defined = {name for file in FILES for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 50
    assert named - defined == set()


def test_every_claim_of_the_page_names_its_test_or_says_that_there_can_be_none() -> None:
    items = re.findall(r"^(?:-|\d\.) .*(?:\n  .*)*", PAGE, re.MULTILINE)
    assert len(items) > 30
    assert [item for item in items if "`test_" not in item and NOBODYS not in item] == []
