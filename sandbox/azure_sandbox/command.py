"""`csum sandbox`: Azure and a Kubernetes cluster on this machine.

The sandbox is not part of the product's images, so it is imported only when one of these commands runs.
"""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from azure_sandbox.fault_command import fault
from azure_sandbox.progress import Report, now_and_then
from confidential_summarizer.cli.console import SentenceGroup, emit, note, output_option
from confidential_summarizer.errors import SpecError

if TYPE_CHECKING:
    from azure_sandbox.state import SandboxState

FOLLOW_SECONDS = 0.5

CONDITION_STYLES = {"running": "green", "stopped": "dim", "died": "bold red"}


@click.group(cls=SentenceGroup)
def sandbox() -> None:
    """Run Azure and a Kubernetes cluster on this machine, for trying and testing."""


sandbox.add_command(fault)


@sandbox.command()
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use the cluster that this file leads to, instead of starting one.",
)
def up(kubeconfig: Path | None) -> None:
    """Start what does not run yet. The first time takes minutes: Kubernetes is built from its source."""
    from azure_sandbox import lifecycle

    state = _state()
    began = time.monotonic()
    with _steps() as report:
        lifecycle.up(state, report, kubeconfig)
    note(f"The sandbox is up after {time.monotonic() - began:.0f} s. To use it from this shell, until you leave it:")
    note('  eval "$(csum sandbox env)"')


@sandbox.command()
@click.option("--remove", is_flag=True, help="Also remove all of its files: cluster, images, blobs, keys.")
def down(remove: bool) -> None:
    """Stop everything. Files stay, so that the next start goes on from here."""
    from azure_sandbox import lifecycle

    state = _state()
    with _steps() as report:
        lifecycle.down(state, report)
    if remove and state.home.exists():
        shutil.rmtree(state.home)
    note("The sandbox is down.")


@sandbox.command()
@output_option
@click.pass_context
def status(context: click.Context, output: str) -> None:
    """Show each process. The exit code is 1 unless all of them run."""
    from azure_sandbox import lifecycle

    found = lifecycle.status(_state())
    table = Table("PROCESS", "STATE", "PID", "PORT", "LOG", box=None, pad_edge=False)
    for process in found:
        style = CONDITION_STYLES[process.condition]
        pid, port = ("" if number is None else str(number) for number in (process.pid, process.port))
        table.add_row(process.name, f"[{style}]{process.condition}[/]", pid, port, str(process.log))
    emit([{**vars(process), "log": str(process.log)} for process in found], output, table)
    context.exit(0 if all(process.condition == "running" for process in found) else 1)


@sandbox.command()
@click.option("--as", "who", default="owner", show_default=True, help="The application to sign in as.")
def env(who: str) -> None:
    """Print shell commands that make kubectl, csum, helm, curl and the Azure SDKs use the sandbox.

    To use them: eval "$(csum sandbox env)". To leave the sandbox, end that shell; nothing else remembers them.
    """
    from azure_sandbox import lifecycle
    from azure_sandbox.azure.principals import Principals
    from azure_sandbox.names import SUBSCRIPTION, TENANT

    state = _state()
    if not any(process.condition == "running" for process in lifecycle.status(state)):
        note("The sandbox is not up: start it with `csum sandbox up`, or with its operator and text by `make demo`.")
    _link_commands(state)
    try:
        principal = Principals(state.home / "azure" / "principals.json")[who]
    except KeyError:
        raise SpecError(f"The sandbox has no application {who!r}; owner, operator and sandbox are there.") from None
    settings = {
        **state.client_environment(),
        "REQUESTS_CA_BUNDLE": str(state.ca_bundle),  # the Python SDKs' synchronous clients look here instead
        "CURL_CA_BUNDLE": str(state.ca_bundle),  # curl reads SSL_CERT_FILE with OpenSSL only
        "KUBECONFIG": str(state.kubeconfig),
        "AZURE_TENANT_ID": TENANT,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_CLIENT_ID": principal.client_id,
        "AZURE_CLIENT_SECRET": principal.secret or "",
    }
    for name, value in settings.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(str(state.bin))}:"$PATH"')


@sandbox.command()
@click.argument("name")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="How many to show.")
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is added.")
def logs(name: str, lines: int, follow: bool) -> None:
    """Show the log of the process NAME; `csum sandbox status` lists them."""
    path = _state().log(name)
    if not path.exists():
        raise SpecError(f"There is no log of {name!r}; `csum sandbox status` lists the processes.")
    with path.open(errors="replace") as file:
        shown = file.readlines()
        click.echo("".join(shown[max(0, len(shown) - lines) :]), nl=False)
        while follow:
            if added := file.read():
                click.echo(added, nl=False)
            else:
                time.sleep(FOLLOW_SECONDS)


def _link_commands(state: "SandboxState") -> None:
    """Put what was installed beside this program where the shell's PATH will lead."""
    beside = Path(sys.executable).parent
    for command in (beside / "csum", beside / "kubectl-csum"):
        if command.exists():
            state.link_command(command)


def _state() -> "SandboxState":
    from azure_sandbox.state import SandboxState

    return SandboxState.from_environment()


@contextmanager
def _steps() -> Iterator[Report]:
    """Show steps on stderr: the present one with a spinner on a terminal, else each one once, counts now and then."""
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        with Console(stderr=True).status("") as spinner:
            yield spinner.update
        return
    yield now_and_then(note)
