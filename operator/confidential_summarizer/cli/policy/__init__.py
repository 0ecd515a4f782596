"""`csum policy`: confidential-computing policies, without a container engine and on any system.

Exit codes are those of `csum`; `diff`, `verify` and `generate --diff` answer 1 where policies differ, `lint` where it
warns, `explain` where the text holds no refusal.
"""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from confidential_summarizer.cli.console import SentenceGroup, cell, emit, note, output_option
from confidential_summarizer.cli.policy.generate import generate
from confidential_summarizer.cli.policy.inputs import read_input, read_policies
from confidential_summarizer.cli.policy.layers import layers, lint
from confidential_summarizer.cli.policy.options import archives_option, cache_option, derive, existing_file, finish_diff
from confidential_summarizer.cli.policy.tables import policy_table
from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.comparison import compare
from confidential_summarizer.policy.contracts import CONTRACTS, DEFAULT_CONTRACT, contract_of
from confidential_summarizer.policy.denial import explain, find_denial
from confidential_summarizer.policy.description import describe, sentences
from confidential_summarizer.policy.document import PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings


@click.group(name="policy", cls=SentenceGroup)
def policy() -> None:
    """Write, read, compare and explain confidential-computing policies."""


@click.command()
@click.argument("file", type=existing_file)
@click.option("--words", is_flag=True, help="Say it in sentences only.")
@output_option
def show(file: Path, words: bool, output: str) -> None:
    """Show what the policies in FILE allow: a policy's text or base64, or a file that carries policies."""
    for name, written, document in read_policies(file):
        if words or output == "table":
            for line in sentences(document):
                click.echo(line)
        if not words:
            emit(describe(document, written.host_data), output, policy_table(name, written, document))


@click.command()
@click.argument("before", type=existing_file)
@click.argument("after", type=existing_file)
@output_option
@click.pass_context
def diff(context: click.Context, /, before: Path, after: Path, output: str) -> None:
    """Compare two policies by what they allow."""
    old, new = read_policies(before), read_policies(after)
    if len(old) != len(new):
        raise PolicyError(f"{before} carries {len(old)} policies, {after} {len(new)}: compare files of the same form")
    found = [item for (_, _, one), (_, _, other) in zip(old, new, strict=True) for item in compare(one, other)]
    finish_diff(context, found, output)


@click.command(name="explain")
@click.argument("denial")
@output_option
@click.pass_context
def explain_command(context: click.Context, /, denial: str, output: str) -> None:
    """Decode a refusal and say its cause and remedy.

    DENIAL is the message of an event, its base64 part alone, a file with either, or - for standard input.
    """
    text = sys.stdin.read() if denial == "-" else denial
    if len(denial) < 4096 and Path(denial).is_file():  # longer than any path: the message itself
        text = Path(denial).read_text(encoding="utf-8", errors="replace")
    found = find_denial(text) or find_denial(f"policyDecision< {text.strip()} >policyDecision")
    if found is None:
        note("No refusal by a policy in this text.")
        context.exit(1)
    reasons = [asdict(reason) for reason in explain(found)]
    document = {"rule": found.rule, "truncated": list(found.truncated), "input": dict(found.input), "reasons": reasons}
    table = Table("reason", "cause", "what to do", title=found.rule or None)
    for reason in reasons:
        table.add_row(*map(cell, (reason["error"], reason["cause"], reason["remedy"])))
    emit(document, output, table)


@click.command()
@click.argument("policy_file", metavar="POLICY", type=existing_file)
@click.option(
    "--against", type=existing_file, required=True, help="Manifest, template or resource to derive the policy from."
)
@click.option("-p", "--parameters", type=existing_file, help="Parameter file of an ARM template.")
@archives_option
@cache_option
@output_option
@click.pass_context
def verify(context: click.Context, /, policy_file: Path, against: Path, output: str, **given: Any) -> None:
    """Derive the policy of a file again and say how POLICY differs from it in what it allows."""
    subject = read_input(against, given["parameters"])
    carried = read_policies(policy_file)
    settings = settings_of(carried[0][2])
    derived = asyncio.run(derive(subject, given, settings))
    if len(derived) != len(carried):
        raise PolicyError(f"{against} has {len(derived)} container groups, {policy_file} {len(carried)} policies")
    pairs = list(zip(carried, derived, strict=True))
    found = [item for (_, _, own), other in pairs for item in compare(own, parse_policy(other.text))]
    for (_, own, _), other in pairs:
        same = "the same bytes" if own == other else "other bytes"
        note(f"host-data {own.host_data}; derived here {other.host_data}: {same}")
    finish_diff(context, found, output)


def settings_of(document: PolicyDocument) -> PolicySettings:
    """The settings that a policy was written with, as far as its text tells."""
    own = [container for container in document.containers if container.name != "pause-container"]
    return PolicySettings(
        contract=contract_of(document.api_version) or CONTRACTS[DEFAULT_CONTRACT],
        debug=document.allows_debugging,
        allow_stdio_access=any(container.allow_stdio_access for container in document.containers),
        require_environment=any(rule.required for container in own for rule in container.env_rules),
        drop_unknown_environment=document.flags.allow_environment_variable_dropping,
        approve_wildcards=True,
    )


for command in (generate, show, diff, explain_command, layers, lint, verify):
    policy.add_command(command)
