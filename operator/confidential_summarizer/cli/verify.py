"""`csum verify`: is the running group the one that was measured? Trusts neither the cluster nor the page."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from confidential_summarizer.cli.console import cell, emit, note, output_option, warn
from confidential_summarizer.cli.expectation import Expected
from confidential_summarizer.cli.question import Asked, Question, ask, question_options
from confidential_summarizer.cli.resources import derive, find_resource, readers_token, token_options
from confidential_summarizer.evidence import Check, Evidence, Verdict


@click.command()
@question_options
@token_options
@click.option(
    "--evidence",
    "evidence_file",
    type=click.Path(path_type=Path),
    help="Write the evidence and the checks to this file.",
)
@output_option
@click.pass_context
def verify(
    context: click.Context,
    asked: Asked,
    token_file: Path | None,
    token_sha256: str | None,
    evidence_file: Path | None,
    output: str,
) -> None:
    """Check the evidence of the running group behind TARGET, a page's URL or NAMESPACE/NAME in the cluster.

    It has to be what you approved on this machine (`csum key approve`), or what --host-data or --policy says. Without
    any of them the cluster can only be compared with itself: exit code 4, or 1 if even that fails.
    """
    token = readers_token(token_file, token_sha256)
    question = asked.question(lambda source: _as_the_resource_says(source, token))
    evidence, peer, verdict = asyncio.run(ask(question))
    document = _document(question, evidence, peer, verdict)
    if evidence_file is not None:
        evidence_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        note(f"Evidence written to {evidence_file}.")
    emit({name: value for name, value in document.items() if name != "evidence"}, output, checks_table(verdict.checks))
    if asked.debuggable:
        warn("A guest and a policy that let the host look in were acceptable: the host can read the text.")
    if not verdict.passed:
        click.secho("The group is NOT what was measured.", err=True, fg="red")
        context.exit(1)
    if not question.expected.independent:
        warn(
            "This compares the cluster with itself: nothing was approved on this machine for this resource, and "
            "whoever runs the cluster wrote everything that was compared. Approve it first (`csum key approve`), or "
            "give --host-data or --policy."
        )
        context.exit(4)
    note(f"The group is what was measured, as {question.expected.source}.")


async def _as_the_resource_says(source: str, token: str | None) -> Expected:
    """Expect what a resource says itself, which is worth no more than whoever wrote it."""
    resource = await find_resource(source)
    note(f"Measuring the images of {resource.key} in their registry …")
    policy = (await derive(resource, token)).policy
    return Expected(
        host_data=(policy.host_data,),
        attestation=resource.spec.attestation,
        policies={policy.host_data: policy.text},
        source="the resource itself says",
        independent=False,
    )


def _document(question: Question, evidence: Evidence, peer: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "url": question.url,
        "peer": peer,
        "attestation": question.expected.attestation,
        "comparedWith": question.expected.source,
        "verified": verdict.passed and question.expected.independent,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in verdict.checks],
        "claims": verdict.claims(),
        "evidence": evidence.to_document(),
    }


def checks_table(checks: Sequence[Check]) -> Table:
    """Show checks and what they found."""
    table = Table("Check", "", "Found", box=None, pad_edge=False)
    table.columns[2].overflow = "fold"
    for one in checks:
        table.add_row(one.name, cell("ok", "green") if one.passed else cell("NO", "bold red"), cell(one.detail))
    return table
