"""`csum open`: a reader's verified channel to a group's page.

A browser cannot check evidence. So this program ends the reader's side of the channel: it speaks only with ends of TLS
connections that have proved to be what was approved, and hands the page to the browser on a local port.
"""

import asyncio
import sys
import webbrowser
from http import HTTPStatus
from pathlib import Path

import aiohttp
import click
from aiohttp import web

from confidential_summarizer.cli.console import cell, note, warn
from confidential_summarizer.cli.open.door import Door
from confidential_summarizer.cli.open.peers import Peers, Refused
from confidential_summarizer.cli.open.proxy import MOST_MESSAGE, Channel, local_end
from confidential_summarizer.cli.question import Asked, Question, ask, question_options
from confidential_summarizer.errors import AccessDenied, SpecError, SummarizerError, TransientError
from confidential_summarizer.evidence import Verdict
from confidential_summarizer.replies import PLAIN, Unreadable, read_limited

LOOPBACK = "127.0.0.1"
REFUSED = 1
"""The answer is no."""


@click.command("open")
@question_options
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="The readers' token; sent once the group has proved itself.  [default: the page asks for it]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Local port.  [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option("--get", "path", metavar="PATH", help="Print one answer of the page, such as /api/summaries, instead.")
@click.pass_context
def open_page(
    context: click.Context,
    asked: Asked,
    token_file: Path | None,
    port: int,
    no_browser: bool,
    path: str | None,
) -> None:
    """Open the page behind TARGET, its URL or NAMESPACE/NAME in the cluster, over a verified channel.

    Before the first byte, the group has to prove over the very connection that it is what you approved on this machine
    (`csum key approve`), or what --host-data or --policy says; so has each other group behind the same address, and
    every few minutes all over. What does not prove itself, or is approved no longer, gets nothing.
    """
    if path is not None and not path.startswith("/"):
        raise click.UsageError("--get takes a path such as /api/summaries.")
    question = asked.question()
    token = readers_token(token_file)
    if asked.debuggable:
        warn("A guest and a policy that let the host look in are acceptable: the host can read the text.")
    peers = peers_of(question)
    try:
        if path is not None:
            asyncio.run(_get(Channel(question.url, peers, token), path))
        else:
            asyncio.run(_serve(question.url, peers, token, port, browser=not no_browser))
    except Refused as refused:
        click.secho(str(refused), err=True, fg="red")
        context.exit(REFUSED)
    except KeyboardInterrupt:
        note("The channel is closed.")


open = open_page  # noqa: A001  the command's name, by which it is found


def peers_of(question: Question) -> Peers:
    """Return who may be spoken with: whoever proves to be what is approved at that time."""

    async def prove() -> tuple[str, Verdict]:
        _, peer, verdict = await ask(question.renewed())
        return peer, verdict

    def is_approved(host_data: str) -> bool:
        try:
            return host_data in question.renewed().expected.host_data
        except SummarizerError:
            return False

    return Peers(prove, is_approved)


def readers_token(file: Path | None) -> str | None:
    """Return the readers' token of a file.

    Raises:
        SpecError: The file cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SpecError(f"Token file {file}: cannot be read.") from None


async def _get(channel: Channel, path: str) -> None:
    await channel.peers.ask()
    try:
        async with channel, channel.request("GET", path, PLAIN) as answer:
            body = await read_limited(answer, MOST_MESSAGE)
    except Unreadable as error:
        raise TransientError(f"{channel.url}{path}: {error}.") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientError(f"{channel.url}: the page does not answer ({type(error).__name__}).") from error
    if answer.status != HTTPStatus.OK:
        raise _refusal(channel.url + path, answer.status)
    text = body.decode(errors="replace")
    click.echo(cell(text).plain if sys.stdout.isatty() else text)


def _refusal(url: str, status: int) -> SummarizerError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SEE_OTHER):
        return AccessDenied(f"{url} needs the readers' token: give its file with --token-file.")
    return TransientError(f"{url}: the page answered {status}.")


async def _serve(url: str, peers: Peers, token: str | None, port: int, *, browser: bool) -> None:
    await peers.ask()
    async with Channel(url, peers, token) as channel:
        door = Door(port)
        runner = web.AppRunner(local_end(channel, door), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, port)
            try:
                await site.start()
            except OSError as error:
                raise SpecError(f"Port {port} of this machine: {error.strerror}. Choose another --port.") from None
            door.port = runner.addresses[0][1]
            note(f"{url} is open, for the browser that follows this link first, until you press Ctrl-C:")
            click.echo(door.link)
            if browser:
                await asyncio.to_thread(webbrowser.open, door.link)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
