"""`csum verify`: is the running group the one that was measured? Trusts neither the cluster nor the page."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import click
from rich.table import Table

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.cli.console import cell, emit, note, output_option, warn
from confidential_summarizer.cli.expectation import Expected
from confidential_summarizer.cli.resources import (
    derive,
    find_resource,
    readers_token,
    resource_name,
    token_options,
)
from confidential_summarizer.errors import NotFound, SpecError, WaitingError
from confidential_summarizer.evidence import Check, Evidence, Verdict, check, new_nonce, signing_keys
from confidential_summarizer.pages import PATIENT, PageClient

Command = Callable[..., Any]

_path = click.Path(path_type=Path)


@dataclass(frozen=True)
class Question:
    """Whom to ask, and what the answer has to show.

    Attributes:
        url: The page's URL, https.
        expected: What the group has to be, and on whose word.
        debuggable: Whether a guest or a policy that lets the host look in is accepted; for test data only.
        attestation: The attestation service, where it was named; None for the one of the approvals.
    """

    url: str
    expected: Expected
    debuggable: bool = False
    attestation: str | None = None

    def renewed(self) -> Self:
        """Return the question as it is to be asked now: what is approved on this machine may have changed.

        Raises:
            NotFound: Nothing is approved here any more.
            SpecError: The record of approvals is damaged.
        """
        if not self.expected.resource:
            return self
        approved = Expected.approved(self.expected.resource)
        return replace(self, expected=replace(approved, attestation=self.attestation or approved.attestation))


def question_options(command: Command) -> Command:
    """Add the options that say what a group has to be; `question_of` takes them."""
    options = (
        click.option("--resource", help="File or NAMESPACE/NAME: what you approved for it on this machine counts."),
        click.option("--host-data", multiple=True, help="Accepted policy hash, checked elsewhere."),
        click.option("--policy", "policy_file", type=_path, help="File with the policy's text, or its base64."),
        click.option("--attestation", help="Host name of the attestation service.  [default: the approved one]"),
        click.option(
            "--allow-debuggable",
            is_flag=True,
            help="Accept a guest or a policy that lets the host look in; for test data.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("target")
@question_options
@token_options
@click.option("--evidence", "evidence_file", type=_path, help="Write the evidence and the checks to this file.")
@output_option
@click.pass_context
def verify(
    context: click.Context,
    target: str,
    resource: str | None,
    host_data: tuple[str, ...],
    policy_file: Path | None,
    attestation: str | None,
    allow_debuggable: bool,
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
    question = question_of(
        *(target, resource, host_data, policy_file, attestation),
        debuggable=allow_debuggable,
        otherwise=lambda source: _as_the_resource_says(source, token),
    )
    evidence, peer, verdict = asyncio.run(ask(question))
    document = _document(question, evidence, peer, verdict)
    if evidence_file is not None:
        evidence_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        note(f"Evidence written to {evidence_file}.")
    emit({name: value for name, value in document.items() if name != "evidence"}, output, checks_table(verdict.checks))
    if allow_debuggable:
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


def question_of(
    target: str,
    resource: str | None,
    host_data: tuple[str, ...],
    policy_file: Path | None,
    attestation: str | None,
    *,
    debuggable: bool = False,
    otherwise: Callable[[str], Awaitable[Expected]] | None = None,
) -> Question:
    """Work out whom to ask, and what the answer has to show.

    Args:
        target: The page's URL, or NAMESPACE/NAME.
        resource: Whose approvals on this machine count; those of the target where neither this, nor hashes, nor a
            policy are given.
        host_data: Accepted hashes.
        policy_file: An accepted policy.
        attestation: The attestation service; the approved one where None.
        debuggable: Whether a guest or a policy that lets the host look in is accepted.
        otherwise: What is expected of a resource for which nothing was approved here; an error where None.

    Raises:
        NotFound: Nothing was approved here, and there is nothing else to go by.
        SummarizerError: The resource, its images or the policy file cannot be read.
    """
    given = sum((resource is not None, bool(host_data), policy_file is not None))
    if given > 1 or (given == 0 and _is_url(target)):
        raise click.UsageError("Say what the group has to be: one of --resource, --host-data and --policy.")
    if policy_file is not None:
        expected = Expected.policy(policy_file)
    elif host_data:
        expected = Expected.hashes(host_data)
    else:
        expected = asyncio.run(_approved(resource if resource is not None else target, otherwise))
    expected = replace(expected, attestation=attestation or expected.attestation)
    if not expected.attestation:
        raise click.UsageError("Give --attestation: nothing on this machine says which attestation service to believe.")
    return Question(asyncio.run(_page(target)), expected, debuggable, attestation)


async def _approved(source: str, otherwise: Callable[[str], Awaitable[Expected]] | None) -> Expected:
    try:
        return Expected.approved(await resource_name(source))
    except NotFound:
        if otherwise is None:
            raise
        return await otherwise(source)


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


async def _page(target: str) -> str:
    if _is_url(target):
        return target.rstrip("/")
    running = await find_resource(target)
    if running.status.endpoint is None:
        raise WaitingError(f"{running.key} has no endpoint yet. Wait for it (kubectl wait), or give the page's URL.")
    return running.status.endpoint.rstrip("/")


async def ask(question: Question) -> tuple[Evidence, str, Verdict]:
    """Ask for fresh evidence over a connection of its own; return it, the key of the other end, and the verdict.

    Raises:
        IntegrityError: What came is no evidence at all.
        TransientError: The page or the attestation service does not answer.
    """
    nonce, expected = new_nonce(), question.expected
    async with AttestationService(expected.attestation) as service:
        keys = signing_keys(await service.signing_keys())
    async with PageClient(proxy=True, timeout=PATIENT) as pages:
        answer = await pages.evidence_from(question.url, nonce)
    evidence = Evidence.parse(answer.document)
    wanted = expected.evidence(nonce, answer.peer, datetime.now(UTC), debuggable=question.debuggable)
    verdict = expected.judge(check(evidence, keys, wanted), debuggable=question.debuggable)
    return evidence, answer.peer, verdict


def _is_url(text: str) -> bool:
    scheme = urlsplit(text).scheme
    if scheme == "http":
        raise SpecError(f"{text}: without TLS anybody on the way can answer. A summarizer's page is at https://…")
    return scheme == "https"


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
