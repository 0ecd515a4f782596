"""`csum sandbox fault`: what goes wrong on purpose, written into the table of the running stand-ins."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import click
from rich.table import Table

from azure_sandbox.faults import KINDS, SERVICES
from azure_sandbox.names import CONTROL
from azure_sandbox.state import SandboxState
from confidential_summarizer.cli.console import SentenceGroup, emit, note, output_option
from confidential_summarizer.errors import SpecError, TransientError

REQUEST_SECONDS = 10.0

WORDS = "\n".join(f"{kind:<20}{what}" for kind, (what, _) in KINDS.items())


@click.group(cls=SentenceGroup)
def fault() -> None:
    """Let services of the sandbox fail on purpose."""


@fault.command(epilog=f"\b\nKinds:\n{WORDS}")
@click.argument("service", type=click.Choice(SERVICES))
@click.argument("kind", type=click.Choice(tuple(KINDS)), metavar="KIND")
@click.option("--times", type=click.IntRange(min=1), help="How many requests meet it.  [default: 1, without --for]")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="For how long requests meet it."
)
@click.option("--chance", type=click.FloatRange(0, 1), default=1.0, help="The share of the requests that meet it.")
@click.option("--seed", type=int, default=0, help="Decides which of them, the same ones each time.")
@click.option("--method", default="*", help="Pattern for the HTTP method, such as PUT.")
@click.option("--path", default="*", help="Pattern for the path, such as '*/contracts-*'.")
@click.option("--retry-after", type=float, default=1.0, help="Seconds of Retry-After.  [throttled]")
@click.option("--delay", type=float, default=5.0, help="Seconds.  [slow, slow-operation]")
@click.option("--recover-after", type=float, help="A group that failed starts after that many seconds after all.")
def add(**given: Any) -> None:
    """Let SERVICE fail as KIND says, once or for as long as the options say.

    Example, a storm of 429 that two of three calls of the vault meet for a minute:

      csum sandbox fault add vault throttled --for 60 --chance 0.67 --retry-after 2
    """
    _ask("POST", {name: value for name, value in given.items() if value is not None})
    note("It happens from now on; `csum sandbox fault list` shows what is still to come, and how often it was met.")


@fault.command("list")
@output_option
def list_(output: str) -> None:
    """Show the faults that are still to come, and how many requests have met one."""
    found = _ask("GET")
    table = Table("SERVICE", "KIND", "TIMES", "SECONDS", "CHANCE", "METHOD", "PATH", box=None, pad_edge=False)
    for one in found["faults"]:
        shown = (one[name] for name in ("service", "kind", "times", "seconds", "chance", "method", "path"))
        table.add_row(*("" if value is None else str(value) for value in shown))
    emit(found, output, table)
    for what, count in sorted(found["met"].items()):
        note(f"met so far: {what}: {count}")


@fault.command()
def clear() -> None:
    """Let nothing fail any more."""
    _ask("DELETE")
    note("Nothing fails on purpose any more.")


def _ask(method: str, body: Any = None) -> Any:
    """Ask the stand-ins' table of faults, and return its answer.

    Raises:
        SpecError: They refuse the fault; the message says why.
        TransientError: The sandbox is not up.
    """
    state = SandboxState.from_environment()
    not_up = "the sandbox is not up: start it with `csum sandbox up`"
    if not state.ca_bundle.exists():
        raise TransientError(not_up)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": state.proxy_url}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(state.ca_bundle))),
    )
    request = urllib.request.Request(
        f"https://{CONTROL}/sandbox/faults",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with opener.open(request, timeout=REQUEST_SECONDS) as answer:
            text = answer.read()
    except urllib.error.HTTPError as refusal:
        raise SpecError(json.loads(refusal.read())["error"]["message"]) from refusal
    except OSError as error:
        raise TransientError(f"{not_up} ({error})") from error
    return json.loads(text) if text else None
