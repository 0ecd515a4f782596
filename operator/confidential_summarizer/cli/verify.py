"""`csum verify`: is the running group the one that was measured? Trusts neither the cluster nor the page."""

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.table import Table

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.cli.console import cell, emit, note, output_option, warn
from confidential_summarizer.cli.resources import choose_file_system, derive, find_resource
from confidential_summarizer.errors import SpecError, WaitingError
from confidential_summarizer.evidence import Check, Evidence, Expectation, Verdict, check, new_nonce, signing_keys
from confidential_summarizer.pages import PageClient
from confidential_summarizer.release import checked_host_data

Command = Callable[..., Any]

_path = click.Path(path_type=Path)


@dataclass(frozen=True)
class Question:
    """What to ask, and what the answer has to show.

    Attributes:
        url: The page's URL, https.
        host_data: The accepted hashes.
        attestation: Host name of the attestation service.
    """

    url: str
    host_data: tuple[str, ...]
    attestation: str


def question_options(command: Command) -> Command:
    """Add the options that say what a group has to be; `question_of` takes them."""
    options = (
        click.option("--resource", help="File or NAMESPACE/NAME of the resource; its policy is derived."),
        click.option("--host-data", multiple=True, help="Accepted policy hash, checked elsewhere."),
        click.option("--policy", "policy_file", type=_path, help="File with the policy's text, or its base64."),
        click.option("--attestation", help="Host name of the attestation service.  [default: as the resource says]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("target")
@question_options
@click.option(
    "--token-file",
    type=_path,
    help="The readers' token, whose hash is in the policy; sent nowhere.",
)
@click.option("--evidence", "evidence_file", type=_path, help="Write the evidence and the checks to this file.")
@click.option("--allow-debuggable", is_flag=True, help="Accept a guest whose memory the host can read; for test data.")
@output_option
@click.pass_context
def verify(
    context: click.Context,
    target: str,
    resource: str | None,
    host_data: tuple[str, ...],
    policy_file: Path | None,
    attestation: str | None,
    token_file: Path | None,
    evidence_file: Path | None,
    allow_debuggable: bool,
    output: str,
) -> None:
    """Check the evidence of the running group behind TARGET, a page's URL or NAMESPACE/NAME in the cluster.

    What the group has to be comes from --resource, --host-data or --policy; for NAMESPACE/NAME from that resource.
    Exit code 1 says that some check failed.
    """
    question = question_of(target, resource, host_data, policy_file, attestation, token_file)
    evidence, peer, verdict = asyncio.run(ask(question, debuggable=allow_debuggable))
    document = _document(question, evidence, peer, verdict)
    if evidence_file is not None:
        evidence_file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        note(f"Evidence written to {evidence_file}.")
    emit({name: value for name, value in document.items() if name != "evidence"}, output, checks_table(verdict.checks))
    if allow_debuggable:
        warn("A debuggable guest was acceptable: its host can read the text.")
    if not verdict.passed:
        click.secho("The group is NOT what was measured.", err=True, fg="red")
        context.exit(1)
    note("The group is what was measured.")


def question_of(
    target: str,
    resource: str | None,
    host_data: tuple[str, ...],
    policy_file: Path | None,
    attestation: str | None,
    token_file: Path | None,
) -> Question:
    """Work out whom to ask, and what the answer has to show.

    Raises:
        SummarizerError: The resource, its images or the policy file cannot be read.
    """
    given = sum((resource is not None, bool(host_data), policy_file is not None))
    if given > 1 or (given == 0 and _is_url(target)):
        raise click.UsageError("Say what the group has to be: one of --resource, --host-data and --policy.")
    hashes = [checked_host_data(value) for value in host_data]
    if policy_file is not None:
        hashes = [policy_hash(policy_file)]
    return asyncio.run(_question(target, resource, hashes, attestation, token_file))


def policy_hash(file: Path) -> str:
    """Return the host-data of a policy file: SHA-256 of the policy's text, decoded where it is base64.

    Raises:
        SpecError: The file cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SpecError(f"Policy file {file}: {error.strerror}.") from None
    try:
        decoded = base64.b64decode(data.strip(), validate=True)
    except binascii.Error:
        decoded = data
    return hashlib.sha256(decoded).hexdigest()


async def _question(
    target: str, resource_text: str | None, hashes: Sequence[str], attestation: str | None, token_file: Path | None
) -> Question:
    source = resource_text if resource_text is not None else None if _is_url(target) else target
    resource = await find_resource(source) if source is not None else None
    if resource is not None and not hashes:
        note(f"Measuring the images of {resource.key} in their registry …")
        hashes = [(await derive(resource, token_file)).policy.host_data]
    if resource is not None and attestation is None:
        attestation = choose_file_system(resource, None).key.attestation
    if attestation is None:
        raise click.UsageError("Give --attestation, or --resource, which names it.")
    if _is_url(target):
        return Question(target.rstrip("/"), tuple(hashes), attestation)
    running = resource if source == target and resource is not None else await find_resource(target)
    if running.status.endpoint is None:
        raise WaitingError(f"{running.key} has no endpoint yet. Wait for it (kubectl wait), or give the page's URL.")
    return Question(running.status.endpoint.rstrip("/"), tuple(hashes), attestation)


async def ask(question: Question, *, debuggable: bool = False) -> tuple[Evidence, str, Verdict]:
    """Ask for fresh evidence over a connection of its own; return it, the key of the other end, and the verdict.

    Raises:
        IntegrityError: What came is no evidence at all.
        TransientError: The page or the attestation service does not answer.
    """
    nonce = new_nonce()
    async with AttestationService(question.attestation) as service:
        keys = signing_keys(await service.signing_keys())
    async with PageClient(proxy=True) as pages:
        answer = await pages.evidence_from(question.url, nonce)
    evidence = Evidence.parse(answer.document)
    expectation = Expectation(
        question.attestation, question.host_data, nonce, answer.peer, datetime.now(UTC), debuggable
    )
    return evidence, answer.peer, check(evidence, keys, expectation)


def _is_url(text: str) -> bool:
    scheme = urlsplit(text).scheme
    if scheme == "http":
        raise SpecError(f"{text}: without TLS anybody on the way can answer. A summarizer's page is at https://…")
    return scheme == "https"


def _document(question: Question, evidence: Evidence, peer: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "url": question.url,
        "peer": peer,
        "attestation": question.attestation,
        "verified": verdict.passed,
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
