"""How commands speak: data to stdout in the form that was asked for, everything else to stderr."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="Form of what is written to stdout.",
)


class SentenceGroup(click.Group):
    """A group whose help shows the whole first sentence of each command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with what they do."""
        self.write_section("Commands", self.list_commands(ctx), ctx, formatter)

    def write_section(
        self, title: str, names: Iterable[str], ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write some of the commands under a title."""
        commands = [(name, self.get_command(ctx, name)) for name in names]
        with formatter.section(title):
            formatter.write_dl([(name, _first_sentence(command)) for name, command in commands if command])


def _first_sentence(command: click.Command) -> str:
    return " ".join((command.help or "").split()).partition(". ")[0].removesuffix(".")


def visible(text: str) -> str:
    """Return text of somebody else on one line, with whatever could steer a terminal written out.

    Images, policies and evidence come from people who are not trusted: an escape sequence in one of their values could
    erase the very lines that an approval is about, and a bidirectional mark could turn a name round.
    """
    return "".join(character if character.isprintable() else _written_out(character) for character in text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(text: object, style: str = "") -> Text:
    """Return what a table shows of somebody else's text: its lines, never its markup."""
    return Text("\n".join(map(visible, str(text).split("\n"))), style=style)


def ready_streams() -> None:
    """Let a command run where a shell closed a stream (`<&-`), or where the locale lacks a character that it says."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open as long as the command runs
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does anyway


def note(text: str) -> None:
    """Tell a person something that is not data, on one line."""
    click.echo(visible(text), err=True)


def warn(text: str) -> None:
    """Tell a person something that they should not overlook."""
    click.secho(f"Warning: {visible(text)}", err=True, fg="yellow")


def fail(text: str) -> None:
    """Tell a person why a command ends; the lines of a program's own output stay lines."""
    click.secho(f"Error: {cell(text).plain}", err=True, fg="red")


def confirm(question: str, *, refused: str, unattended: str) -> None:
    """Ask a person, and go on only after a yes.

    Args:
        question: The question.
        refused: What a no means, for people.
        unattended: The options that answer it where there is nobody to ask.

    Raises:
        click.ClickException: They said no.
        click.UsageError: There is nobody to ask.
        click.Abort: They interrupted.
    """
    try:
        agreed = click.confirm(visible(question), err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            raise click.UsageError(f"There is nobody to ask: give {unattended}.") from None
        raise
    if not agreed:
        raise click.ClickException(refused)


def emit(document: Mapping[str, Any] | Sequence[Any], output: str, table: Table | None = None) -> None:
    """Write data to stdout.

    Args:
        document: The data, JSON types only.
        output: `table`, `json` or `yaml`.
        table: How the data look as a table; made from the mapping's items where None.
    """
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    elif output == "yaml":
        # YAML takes marks that turn text round for letters; JSON's form of control characters is printable.
        printable = json.dumps(document, ensure_ascii=False).isprintable()
        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=printable), nl=False)
    else:
        console = Console(width=None if sys.stdout.isatty() else 200)
        console.print(table if table is not None else facts(document if isinstance(document, Mapping) else {}))


def facts(items: Mapping[str, Any]) -> Table:
    """Return a table of names and values."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in items.items():
        text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
        table.add_row(name, cell(text))
    return table


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr while a block runs; it is told what goes on, the bytes done and the bytes in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=total)

        yield tell
