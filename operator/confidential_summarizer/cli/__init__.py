"""The command `csum`, also installed as `kubectl csum`.

Data goes to stdout, everything else to stderr. Exit codes:

0  done, or the answer is yes
1  the answer is no: it differs, it is refused
2  the command line itself is wrong
3  the input can never work as it stands
4  somebody else has to act first
5  a service cannot answer now, or this machine refuses; try again
6  something is not what it claims to be
130  interrupted
"""

import importlib
import importlib.metadata
import logging
import os
import sys
from typing import Any

import click

from confidential_summarizer.cli.console import SentenceGroup, fail, ready_streams
from confidential_summarizer.errors import IntegrityError, SpecError, SummarizerError, TransientError, WaitingError

COMMANDS: dict[str, str] = {
    "seal": "seal",
    "unseal": "seal",
    "inspect": "seal",
    "push": "push",
    "purge": "purge",
    "key": "key",
    "policy": "policy",
    "render": "render",
    "check": "check",
    "why": "why",
    "status": "report",
    "report": "report",
    "pause": "steer",
    "resume": "steer",
    "reconcile": "steer",
    "resolve": "steer",
    "verify": "verify",
    "open": "open",
    "summarize": "open.asking",
    "results": "results",
    "models": "models",
}
"""The module of each command; loaded when it is used, so that `csum --help` needs no Azure SDK."""

SECTIONS = {
    "Data owner": ("seal", "unseal", "inspect", "push", "purge", "key", "results"),
    "Cluster admin": (
        *("models", "render", "check", "why", "status", "report"),
        *("pause", "resume", "reconcile", "resolve"),
    ),
}
"""Who uses which commands, for the help; the others are everybody's."""

PLUGINS = {"sandbox": "confidential-summarizer-sandbox"}
"""Commands of other distributions, by the entry point group below, and which distribution brings each."""
GROUP = "confidential_summarizer.commands"

EXIT_CODES: tuple[tuple[type[SummarizerError], int], ...] = (
    (SpecError, 3),
    (WaitingError, 4),
    (TransientError, 5),
    (IntegrityError, 6),
)


class LazyGroup(SentenceGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a data owner's day."""
        return [*COMMANDS, *(plugin.name for plugin in importlib.metadata.entry_points(group=GROUP))]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by who uses them, each with the whole first sentence of its help."""
        named = [name for names in SECTIONS.values() for name in names]
        others = [name for name in self.list_commands(ctx) if name not in named]
        for title, names in (*SECTIONS.items(), ("Everybody", others)):
            self.write_section(title, names, ctx, formatter)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is none of that name."""
        command: click.Command
        if cmd_name not in COMMANDS:
            for plugin in importlib.metadata.entry_points(group=GROUP, name=cmd_name):
                command = plugin.load()
                return command
            if distribution := PLUGINS.get(cmd_name):
                raise SpecError(
                    f"`csum {cmd_name}` comes with {distribution}, which is not installed: run `make setup` "
                    "in a checkout of confidential-summarizer, and `.venv/bin/csum` there."
                )
            return None
        try:
            module = importlib.import_module(f"confidential_summarizer.cli.{COMMANDS[cmd_name]}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "azure":
                raise
            return _needs_extra(cmd_name)
        command = getattr(module, cmd_name)
        return command


def _needs_extra(name: str) -> click.Command:
    """Stand in for a command that talks to Azure where its packages are not installed; say what brings them."""
    advice = "needs Azure's packages: pip install 'confidential-summarizer[owner]'"

    def refuse() -> None:
        raise SpecError(f"`csum {name}` {advice}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=f"({advice})", context_settings=anything)


EPILOG = (
    "Exit codes: 0 done, or yes; 1 no: it differs, it is refused; 2 wrong command line; 3 the input can never work; "
    "4 somebody else has to act first; 5 try again later; 6 something is not what it claims to be; 130 interrupted."
)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="confidential-summarizer")
@click.option(
    "--loopback-registry",
    is_flag=True,
    envvar="CSUM_LOOPBACK_REGISTRY",
    help="Let images come from a registry on this machine, by http.",
)
def csum(loopback_registry: bool) -> None:
    """Summaries of sealed text from a cluster that never sees it."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    logging.getLogger("azure").setLevel(logging.ERROR)  # what matters of it reaches people as an error of ours
    # aiohttp takes passwords for hosts from there together with the proxies, and pages are asked before they are known.
    os.environ["NETRC"] = os.devnull
    ready_streams()
    try:
        code: Any = csum.main(args=arguments, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted. The same command can be run again.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SummarizerError as error:
        fail(str(error))
        sys.exit(next((code for branch, code in EXIT_CODES if isinstance(error, branch)), 1))
    except OSError as error:
        fail(f"This machine refused: {error}.")
        sys.exit(5)
    sys.exit(code if isinstance(code, int) else 0)
