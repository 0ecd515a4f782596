"""`csum policy layers` and `csum policy lint`: what is in images, and what of it will surprise."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from confidential_summarizer.cli.console import emit, output_option
from confidential_summarizer.cli.policy.images import measuring
from confidential_summarizer.cli.policy.inputs import Input, read_input, read_policies
from confidential_summarizer.cli.policy.options import archives_option, cache_option, existing_file
from confidential_summarizer.cli.policy.tables import findings_table, layers_table
from confidential_summarizer.errors import ImageError
from confidential_summarizer.measurement.layer import MeasuredLayer, measure_layer
from confidential_summarizer.measurement.worker import chunks
from confidential_summarizer.policy.lint import Finding, lint_layers, lint_policy, lint_references
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.registry import ImageArchive

_POLICY_STARTS = (b"package ", b"cGFja2FnZS")


@click.command()
@click.argument("sources", nargs=-1, required=True)
@cache_option
@output_option
def layers(sources: tuple[str, ...], no_cache: bool, output: str) -> None:
    """Print diff_id and root hash of every layer of SOURCES: images, image archives, or single layers in files."""
    rows = [
        {"image": source, "number": number} | layer.to_json()
        for source in sources
        for number, layer in enumerate(measured_layers(source, use_cache=not no_cache))
    ]
    emit(rows, output, layers_table(rows))


@click.command()
@click.argument("source")
@click.option("-p", "--parameters", type=existing_file, help="Parameter file of an ARM template.")
@archives_option
@cache_option
@output_option
@click.pass_context
def lint(context: click.Context, /, source: str, output: str, **given: Any) -> None:
    """Warn of what is allowed but will surprise: SOURCE is a policy, a manifest or template, an image or an archive."""
    found = _findings(source, given)
    emit([asdict(finding) for finding in found], output, findings_table(found))
    context.exit(1 if any(finding.severity == "warning" for finding in found) else 0)


def measured_layers(source: str, *, use_cache: bool) -> tuple[MeasuredLayer, ...]:
    """Measure what a source holds: an image in a registry, the only image of an archive, or one layer in a file."""
    path = Path(source)
    if path.exists() and not is_image_archive(path):
        with path.open("rb") as file:
            return (measure_layer(chunks(file)),)
    archives, reference = ((path,), "") if path.exists() else ((), source)
    return asyncio.run(_measure_image(archives, reference, use_cache=use_cache))


def is_image_archive(path: Path) -> bool:
    """Whether a file or folder holds images, rather than being something else."""
    if path.is_dir():
        return True
    try:
        with ImageArchive(path) as archive:
            return archive.has_images()
    except ImageError:
        return False


async def _measure_image(archives: Sequence[Path], reference: str, *, use_cache: bool) -> tuple[MeasuredLayer, ...]:
    async with measuring(archives, use_cache=use_cache) as measure:
        return (await measure(reference)).details


def _findings(source: str, given: dict[str, Any]) -> list[Finding]:
    path = Path(source)
    if not path.exists() or is_image_archive(path) or _is_layer(path):
        references = [] if path.exists() else [source]
        layers = measured_layers(source, use_cache=not given["no_cache"])
        return [*lint_references(references), *lint_layers(source, layers)]
    if path.read_bytes().startswith(_POLICY_STARTS):
        return [finding for _, _, document in read_policies(path) for finding in lint_policy(document)]
    subject = read_input(path, given["parameters"])
    found = [*subject.findings(), *lint_references(subject.references())]
    return found + asyncio.run(_lint_deployed(subject, given))


async def _lint_deployed(subject: Input, given: dict[str, Any]) -> list[Finding]:
    found: list[Finding] = []
    async with measuring(given["archives"], use_cache=not given["no_cache"]) as measure:
        for written in await subject.policies(measure, PolicySettings(approve_wildcards=True)):
            found += lint_policy(parse_policy(written.text))
        for reference in dict.fromkeys(subject.references()):
            found += lint_layers(reference, (await measure(reference)).details)
    return found


def _is_layer(path: Path) -> bool:
    """Compressed data, or the magic of a tar header."""
    with path.open("rb") as file:
        head = file.read(512)
    return head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")) or head[257:262] == b"ustar"
