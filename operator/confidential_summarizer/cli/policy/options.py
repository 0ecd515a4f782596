"""Options and endings that the commands of `csum policy` share."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from confidential_summarizer.cli.console import emit, note
from confidential_summarizer.cli.policy.images import measuring
from confidential_summarizer.cli.policy.inputs import Input
from confidential_summarizer.cli.policy.tables import differences_table
from confidential_summarizer.policy.comparison import Difference
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.settings import PolicySettings

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
archives_option = click.option(
    "--tar",
    "archives",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Image archive or OCI layout to read.",
)
cache_option = click.option("--no-cache", is_flag=True, help="Measure every layer again.")


async def derive(subject: Input, given: dict[str, Any], settings: PolicySettings) -> list[Policy]:
    """Measure the images of a file and write its policies."""
    async with measuring(given["archives"], use_cache=not given["no_cache"]) as measure:
        return await subject.policies(measure, settings)


def finish_diff(context: click.Context, /, found: list[Difference], output: str) -> None:
    """Show the differences and end with 1 if there are any."""
    if found or output != "table":
        emit([_plain(item) for item in found], output, differences_table(found))
    if not found:
        note("Both allow the same.")
    context.exit(1 if found else 0)


def _plain(item: Difference) -> Any:
    return json.loads(json.dumps(asdict(item), default=str))
