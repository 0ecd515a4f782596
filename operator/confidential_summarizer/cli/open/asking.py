"""`csum summarize`: ask a group for summaries over the verified channel, wait for them, and cancel when interrupted."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich.table import Table

from confidential_summarizer.cli.console import cell, emit, note, output_option, warn
from confidential_summarizer.cli.open import REFUSED, peers_of, readers_token
from confidential_summarizer.cli.open.peers import Refused
from confidential_summarizer.cli.open.proxy import MOST_MESSAGE, Channel
from confidential_summarizer.cli.question import Asked, question_options
from confidential_summarizer.errors import AccessDenied, SpecError, TransientError
from confidential_summarizer.replies import PLAIN, Unreadable, read_limited

POLL_SECONDS = 1.0
"""Short beside what a summary takes."""
UNFINISHED = ("Waiting", "Running")


@click.command()
@question_options
@click.option("--token-file", type=click.Path(path_type=Path), help="The readers' token.")
@click.option("--document", "documents", type=int, multiple=True, help="Number of a document.  [default: all]")
@click.option("--file-system", help="Only documents of this file system.")
@click.option("--model", "models", multiple=True, help="Name of a model.  [default: the first that is offered]")
@click.option("--length", type=click.Choice(["short", "medium", "long"]), default="long", show_default=True)
@output_option
@click.pass_context
def summarize(
    context: click.Context,
    asked: Asked,
    token_file: Path | None,
    documents: tuple[int, ...],
    file_system: str | None,
    models: tuple[str, ...],
    length: str,
    output: str,
) -> None:
    """Ask the group behind TARGET, a page's URL or NAMESPACE/NAME, for summaries, and print them.

    Over the same channel as `csum open`: nothing is sent before the group has proved that it is what you approved.
    Ctrl-C cancels what was asked for. Exit code 1 says that a summary could not be made.
    """
    question = asked.question()
    wanted = {"documents": list(documents) or "all", "models": list(models) or None, "length": length}
    if file_system is not None:
        wanted["fileSystem"] = file_system
    channel = Channel(question.url, peers_of(question), readers_token(token_file))
    try:
        answer = asyncio.run(ask(channel, wanted))
    except Refused as refused:
        click.secho(str(refused), err=True, fg="red")
        context.exit(REFUSED)
    summaries, failed = answer["summaries"], answer["job"]["failed"]
    emit({"summaries": summaries, "failed": failed}, output, _table(summaries))
    for one in failed:
        warn(f"Document {one['number']} was not summarized by {one['model']}: {one['reason']}")
    if failed or answer["job"]["state"] != "Finished":
        context.exit(1)


async def ask(channel: Channel, wanted: dict[str, Any]) -> dict[str, Any]:
    """Have summaries made; cancel the job if this is ended before they are there.

    Args:
        channel: To the page.
        wanted: The body of `POST /api/jobs`.

    Returns:
        The answer of `GET /api/jobs/ID` at the end.

    Raises:
        Refused: The group is not what was approved.
        SpecError: The group does not offer what is wanted.
        AccessDenied: The token is missing or wrong.
        TransientError: It does not answer.
    """
    await channel.peers.ask()
    async with channel:
        job = (await _call(channel, "POST", "/api/jobs", wanted))["id"]
        path, told = f"/api/jobs/{job}", -1
        try:
            while True:
                answer = await _call(channel, "GET", path)
                state = answer["job"]
                if state["done"] != told:
                    told = state["done"]
                    note(f"{told} of {state['summaries']} summaries")
                if state["state"] not in UNFINISHED:
                    return answer
                await asyncio.sleep(POLL_SECONDS)
        except asyncio.CancelledError:
            await _call(channel, "DELETE", path)
            raise


async def _call(channel: Channel, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    headers = PLAIN | ({} if body is None else {"Content-Type": "application/json"})
    data = None if body is None else json.dumps(body).encode()
    try:
        async with channel.request(method, path, headers, data) as answer:
            text = await read_limited(answer, MOST_MESSAGE)
            status = answer.status
        document: dict[str, Any] = json.loads(text) if status != HTTPStatus.SEE_OTHER else {}
        problem = str(document.get("error", "")) or f"the page answered {status}"
    except (Unreadable, ValueError, AttributeError, RecursionError) as error:
        raise TransientError(f"{channel.url}{path}: the answer cannot be read ({type(error).__name__}).") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientError(f"{channel.url}: the page does not answer ({type(error).__name__}).") from error
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SEE_OTHER):
        raise AccessDenied(f"{channel.url} needs the readers' token: give its file with --token-file.")
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        raise SpecError(f"{channel.url}: {problem}.")
    if status >= HTTPStatus.BAD_REQUEST:
        raise TransientError(f"{channel.url}: {problem}.")
    return document


def _table(summaries: list[dict[str, Any]]) -> Table:
    table = Table("Document", "Model", "Summary", box=None, pad_edge=False)
    table.columns[2].overflow = "fold"
    for one in summaries:
        name = f"{one['document']} ({one['fileSystem']})"
        table.add_row(cell(name), cell(one["model"]), cell(one["summary"] or "(withheld by the disclosure guard)"))
    return table
