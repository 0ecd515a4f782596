"""`csum policy generate`: policies written for a file, and put into it.

A drop-in for `az confcom acipolicygen`: the same files in, the same text out.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from confidential_summarizer.cli.console import note
from confidential_summarizer.cli.policy.inputs import DefinitionsInput, Input, read_definitions, read_input, read_policy
from confidential_summarizer.cli.policy.options import archives_option, cache_option, derive, existing_file, finish_diff
from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.comparison import Difference, compare
from confidential_summarizer.policy.contracts import CONTRACTS, DEFAULT_CONTRACT
from confidential_summarizer.policy.definitions import Definitions
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings, ServiceConstants, parse_fragment, shipped_constants
from confidential_summarizer.policy.text import render


@click.command()
@click.argument("file", type=existing_file, required=False)
@click.option(
    "-a",
    "--arm-template",
    "--template-file",
    "arm_template",
    type=existing_file,
    help="ARM template to write policies for.",
)
@click.option("-i", "--input", "definitions", type=existing_file, help="JSON of containers described by themselves.")
@click.option("--image", "images", multiple=True, help="An image alone, as its config starts it.")
@click.option("-p", "--parameters", type=existing_file, help="Parameter file of the ARM template.")
@click.option("--virtual-node-yaml", type=existing_file, help="Kubernetes manifest to write policies for.")
@click.option("--print-policy", is_flag=True, help="Print the policies in base64; change no file.")
@click.option("--outraw", is_flag=True, help="Print the policies' text; change no file.")
@click.option("--outraw-pretty-print", is_flag=True, help="Print the policies' text indented, which has another hash.")
@click.option(
    "--to", "target", type=click.Path(path_type=Path, allow_dash=True), help="Write the file here; - for stdout."
)
@click.option("-d", "--diff", "diff_only", is_flag=True, help="Compare with the policies that the file carries.")
@click.option(
    "--contract",
    type=click.Choice(list(CONTRACTS)),
    default=DEFAULT_CONTRACT,
    show_default=True,
    help="Form of the text.",
)
@click.option("--debug-mode", is_flag=True, help="Open shells, stack dumps and guest logs.")
@click.option("--disable-stdio/--enable-stdio", default=False, help="Whether output can be read from outside.")
@click.option("-y", "--approve-wildcards", is_flag=True, help="Let variables without a known value have any.")
@click.option("--infrastructure-svn", help="Minimum version of the service's own fragment.")
@click.option("-e", "--exclude-default-fragments", is_flag=True, help="Leave the service's own fragment out.")
@click.option("-j", "--fragments-json", type=existing_file, help="File with more acceptable fragments.")
@click.option("--omit-id", is_flag=True, help="Leave image references out of the text.")
@click.option("--constants", type=existing_file, help="File of service constants instead of the shipped one.")
@archives_option
@cache_option
@click.pass_context
def generate(context: click.Context, /, **given: Any) -> None:
    """Write the policies of FILE and put them into it; its host-data go to stdout.

    FILE is a ConfidentialSummarizer, an ARM template or container group in JSON, or a Kubernetes manifest.
    """
    path, subject = _subject(given)
    policies = asyncio.run(derive(subject, given, _settings(given)))
    if given["diff_only"]:
        finish_diff(context, _against_existing(subject, policies), "table")
    elif given["print_policy"] or given["outraw"] or given["outraw_pretty_print"]:
        for written in policies:
            shown = render(parse_policy(written.text), pretty=True) if given["outraw_pretty_print"] else written
            click.echo(shown.base64 if given["print_policy"] else shown.text)
    else:
        _write(subject, policies, given["target"] or path)


def _subject(given: dict[str, Any]) -> tuple[Path, Input]:
    """What policies are written for, and the file that they go to unless another is named."""
    files = [given[name] for name in ("file", "arm_template", "virtual_node_yaml") if given[name] is not None]
    if len(files) + bool(given["definitions"]) + bool(given["images"]) != 1:
        raise click.UsageError("give exactly one of FILE, --arm-template, --virtual-node-yaml, --input and --image")
    if given["definitions"]:
        return Path("-"), read_definitions(given["definitions"])
    if given["images"]:
        return Path("-"), DefinitionsInput(Definitions.of_images(given["images"]))
    return files[0], read_input(files[0], given["parameters"])


def _settings(given: dict[str, Any]) -> PolicySettings:
    fragments: list[Any] = []
    if given["fragments_json"]:
        try:
            document = json.loads(given["fragments_json"].read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PolicyError(f"{given['fragments_json']} cannot be read as JSON: {error}") from error
        lists = (
            document if isinstance(document, list) else [document.get("fragments"), document.get("standaloneFragments")]
        )
        fragments = document if isinstance(document, list) else [item for part in lists for item in part or ()]
    return PolicySettings(
        contract=CONTRACTS[given["contract"]],
        debug=given["debug_mode"],
        allow_stdio_access=not given["disable_stdio"],
        infrastructure_svn=given["infrastructure_svn"],
        exclude_default_fragments=given["exclude_default_fragments"],
        fragments=tuple(parse_fragment(entry) for entry in fragments),
        approve_wildcards=given["approve_wildcards"],
        omit_id=given["omit_id"],
        constants=ServiceConstants.read(given["constants"]) if given["constants"] else shipped_constants(),
    )


def _write(subject: Input, policies: list[Policy], target: Path) -> None:
    for name, old, written in zip(subject.names(), subject.existing(), policies, strict=True):
        if old and old != written.base64:
            note(f"{name}: another policy was in the file and is replaced")
    text = subject.with_policies(policies)
    if str(target) == "-":
        click.echo(text, nl=False)
    else:
        target.write_text(text, encoding="utf-8")
    for written in policies:
        click.echo(written.host_data, err=str(target) == "-")


def _against_existing(subject: Input, policies: list[Policy]) -> list[Difference]:
    found: list[Difference] = []
    for name, old, written in zip(subject.names(), subject.existing(), policies, strict=True):
        if not old:
            found.append(Difference(name, "policy", None, written.host_data))
            continue
        found += compare(read_policy(old)[1], parse_policy(written.text))
    return found
