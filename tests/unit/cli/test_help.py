import re
from pathlib import Path

from click.testing import CliRunner

from confidential_summarizer.cli import COMMANDS, SECTIONS, csum


def test_the_help_shows_each_command_once_by_who_uses_it_and_cuts_no_sentence():
    text = CliRunner().invoke(csum, ["--help"]).stdout
    assert sorted(re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE)) == sorted({*COMMANDS, "sandbox"})
    assert re.findall(r"^([A-Z][a-z]+(?: [a-z]+)?):$", text, re.MULTILINE) == ["Options", *SECTIONS, "Everybody"]
    assert "...\n" not in text.partition("Options:")[2]


def test_the_help_of_a_group_cuts_no_sentence():
    for group in ("key", "policy", "results", "models", "sandbox"):
        assert "..." not in CliRunner().invoke(csum, [group, "--help"]).stdout.partition("Options:")[2]


def test_every_command_is_in_the_reference():
    page = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text()
    rows = re.findall(r"^\| (`[a-z`, ]+)", page, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"(?:`|, `)([a-z]+)", row)}
    assert named == {*COMMANDS, "sandbox"}
