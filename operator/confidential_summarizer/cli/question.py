"""What a group is asked before anything is believed or sent: to prove, over this very connection, what it is."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import click

from confidential_summarizer.azure.attestation import AttestationService
from confidential_summarizer.cli.expectation import Expected
from confidential_summarizer.cli.resources import find_resource, resource_name
from confidential_summarizer.errors import IntegrityError, NotFound, SpecError, WaitingError, quoted
from confidential_summarizer.evidence import Evidence, Verdict, check, new_nonce, signing_keys
from confidential_summarizer.pages import PATIENT, PageClient

Command = Callable[..., Any]

_ENDPOINT = re.compile(r"https://[^/?#@\s]+")
"""Of a status: host and port alone. The cluster writes it, and whatever else it names would be asked from here."""


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


@dataclass(frozen=True)
class Asked:
    """How somebody put a question on the command line.

    Attributes:
        target: The page's URL, or NAMESPACE/NAME.
        resource: Whose approvals on this machine count; those of the target where neither this, nor hashes, nor a
            policy are given.
        host_data: Accepted hashes.
        policy_file: An accepted policy.
        attestation: The attestation service; the approved one where None.
        debuggable: Whether a guest or a policy that lets the host look in is accepted.
    """

    target: str
    resource: str | None = None
    host_data: tuple[str, ...] = ()
    policy_file: Path | None = None
    attestation: str | None = None
    debuggable: bool = False

    def question(self, otherwise: Callable[[str], Awaitable[Expected]] | None = None) -> Question:
        """Work out whom to ask, and what the answer has to show.

        Args:
            otherwise: What is expected of a resource for which nothing was approved here; an error where None.

        Raises:
            NotFound: Nothing was approved here, and there is nothing else to go by.
            SummarizerError: The resource, its images or the policy file cannot be read.
        """
        given = sum((self.resource is not None, bool(self.host_data), self.policy_file is not None))
        if given > 1 or (given == 0 and _is_url(self.target)):
            raise click.UsageError("Say what the group has to be: one of --resource, --host-data and --policy.")
        if self.policy_file is not None:
            expected = Expected.policy(self.policy_file)
        elif self.host_data:
            expected = Expected.hashes(self.host_data)
        else:
            expected = asyncio.run(_approved(self.resource if self.resource is not None else self.target, otherwise))
        expected = replace(expected, attestation=self.attestation or expected.attestation)
        if not expected.attestation:
            raise click.UsageError(
                "Give --attestation: nothing on this machine says which attestation service to believe."
            )
        return Question(asyncio.run(_page(self.target)), expected, self.debuggable, self.attestation)


def question_options(command: Command) -> Command:
    """Give a command TARGET and the options that say what the group has to be, as one `Asked`."""

    @wraps(command)
    def bundled(
        *args: Any,
        target: str,
        resource: str | None,
        host_data: tuple[str, ...],
        policy_file: Path | None,
        attestation: str | None,
        allow_debuggable: bool,
        **others: Any,
    ) -> Any:
        how = Asked(target, resource, host_data, policy_file, attestation, allow_debuggable)
        return command(*args, asked=how, **others)

    parameters = (
        click.argument("target"),
        click.option("--resource", help="File or NAMESPACE/NAME: what you approved for it on this machine counts."),
        click.option("--host-data", multiple=True, help="Accepted policy hash, checked elsewhere."),
        click.option(
            "--policy",
            "policy_file",
            type=click.Path(path_type=Path),
            help="File with the policy's text, or its base64.",
        ),
        click.option("--attestation", help="Host name of the attestation service.  [default: the approved one]"),
        click.option(
            "--allow-debuggable",
            is_flag=True,
            help="Accept a guest or a policy that lets the host look in; for test data.",
        ),
    )
    whole: Command = bundled
    for parameter in reversed(parameters):
        whole = parameter(whole)
    return whole


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


async def _page(target: str) -> str:
    if _is_url(target):
        return target.rstrip("/")
    running = await find_resource(target)
    if running.spec.batch is not None:
        raise SpecError(f"{running.key} is a batch, which has no page: `csum results fetch` has what it made.")
    endpoint = running.status.endpoint
    if endpoint is None:
        raise WaitingError(f"{running.key} has no endpoint yet. Wait for it (kubectl wait), or give the page's URL.")
    if _ENDPOINT.fullmatch(endpoint) is None:
        raise IntegrityError(f"{running.key} names {quoted(endpoint)} as its endpoint, where no operator puts a page.")
    return endpoint


def _is_url(text: str) -> bool:
    scheme = urlsplit(text).scheme
    if scheme == "http":
        raise SpecError(f"{text}: without TLS anybody on the way can answer. A summarizer's page is at https://…")
    return scheme == "https"


async def _approved(source: str, otherwise: Callable[[str], Awaitable[Expected]] | None) -> Expected:
    try:
        return Expected.approved(await resource_name(source))
    except NotFound:
        if otherwise is None:
            raise
        return await otherwise(source)
