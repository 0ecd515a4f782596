"""`csum render`: what the operator would deploy for a resource, without a cluster."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml

from confidential_summarizer.api.names import KIND
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.cli.console import note
from confidential_summarizer.cli.registries import registry_client
from confidential_summarizer.cli.terms import terms
from confidential_summarizer.errors import SpecError
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.targets.container_group.shards import for_shard
from confidential_summarizer.targets.derive import derive, measure_images
from confidential_summarizer.targets.ownership import group_name
from confidential_summarizer.targets.target import Derivation


def read_resource(path: Path) -> ConfidentialSummarizer:
    """Read the one ConfidentialSummarizer in a YAML file.

    Raises:
        SpecError: The file is no YAML, or does not hold exactly one.
    """
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if isinstance(d, dict)]
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # the latter two of what stands for a value
        raise SpecError(f"{path}: cannot be read as YAML: {error}") from None
    found = [d for d in documents if d.get("kind") == KIND]
    if len(found) != 1:
        raise SpecError(f"{path}: expected one {KIND}, found {len(found)}")
    return ConfidentialSummarizer.parse(found[0])


async def derive_from_registry(resource: ConfidentialSummarizer, *, token_sha256: str | None = None) -> Derivation:
    """Measure a resource's images in their registry and derive manifest and policy, as the operator does."""
    async with registry_client() as registry:
        images = await measure_images(resource, partial(Measurer().measure, registry), {})
    return derive(resource, images, token_sha256=token_sha256)


def arm_template(resource: ConfidentialSummarizer, group: dict[str, Any]) -> dict[str, Any]:
    """Return a deployment template with the groups of all replicas or shards.

    Raises:
        SpecError: The resource's target is no container group.
    """
    if resource.spec.target.container_group is None:
        raise SpecError(
            f"{resource.key}: an ARM template needs target.containerGroup; this resource's target is a virtual node"
        )
    groups = {group_name(resource.metadata, index): for_shard(group, index) for index in range(resource.spec.groups)}
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {**{key: _literal(value) for key, value in body.items()}, "name": name} for name, body in groups.items()
        ],
    }


def _literal(value: Any) -> Any:
    """Keep a template's reader from taking a text in brackets for an expression: `[[` stands for `[`."""
    if isinstance(value, dict):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return f"[{value}" if isinstance(value, str) and value.startswith("[") and value.endswith("]") else value


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Choice(["yaml", "json", "arm-template"]),
    default="yaml",
    show_default=True,
    help="arm-template: for `az deployment group create --template-file`, one resource for each replica or shard.",
)
def render(file: Path, output: str) -> None:
    """Print the Deployment, the Job or the container group that the operator would make for the resource in FILE."""
    resource = read_resource(file)
    derivation = asyncio.run(derive_from_registry(resource))
    manifest: Any = json.loads(json.dumps(derivation.manifest))
    if output == "arm-template":
        manifest, output = arm_template(resource, manifest), "json"
    click.echo(json.dumps(manifest, indent=2) if output == "json" else yaml.safe_dump(manifest, sort_keys=False))
    for line in terms(parse_policy(derivation.policy.text)):
        note(line)
    note(f"host-data {derivation.policy.host_data}")
