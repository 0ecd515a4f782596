"""`csum check`: everything that a resource needs, looked at once, before and after it is applied."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import click
import yaml
from azure.core.credentials_async import AsyncTokenCredential
from rich.table import Table

from confidential_summarizer.api.file_systems import BlobAccess, FileSystem
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import SealedBlob
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.azure.role_assignments import RoleAssignments
from confidential_summarizer.cli.check.questions import ask
from confidential_summarizer.cli.check.world import Groups, Row, Verdict, World
from confidential_summarizer.cli.console import cell, emit, output_option
from confidential_summarizer.cli.render import derive_from_registry
from confidential_summarizer.cli.resources import cluster, find_resource
from confidential_summarizer.errors import NotFound, SpecError, TransientError
from confidential_summarizer.kube import SUMMARIZER, KubernetesAPI
from confidential_summarizer.reconcile.authorization import Need
from confidential_summarizer.reconcile.grants import grant_manifest
from confidential_summarizer.targets.target import Derivation

STYLES = {Verdict.OK: "green", Verdict.MISSING: "red", Verdict.UNKNOWN: "yellow"}
SOMETHING_IS_MISSING = 1
SOMETHING_IS_NOT_KNOWN = 5
RETRIES = 2
"""A person waits."""


@click.command()
@click.argument("resource", required=False)
@click.option("-n", "--namespace", help="Namespace of the resource.")
@output_option
@click.pass_context
def check(context: click.Context, resource: str | None, namespace: str | None, output: str) -> None:
    """Look at everything that RESOURCE needs, at once: grants, images, keys, Secrets, blobs, roles, room.

    RESOURCE is a file, before it is applied, or a NAME in the cluster; without one, every resource of the namespace is
    looked at. Nothing is changed. Ends with 1 if something is missing, with 5 if something could not be looked at.
    """
    rows, missing = asyncio.run(_check(resource, namespace))
    documents = [{"resource": key, "what": r.what, "verdict": r.verdict.value, "detail": r.detail} for key, r in rows]
    emit(documents, output, _table(rows))
    for key, needs in missing.items():
        if needs and output == "table":
            click.echo(f"\nWhat a cluster admin would apply for namespace {key}, if it may:\n", err=True)
            click.echo(yaml.safe_dump(grant_manifest(key, needs), sort_keys=False), err=True)
    verdicts = {row.verdict for _, row in rows}
    if Verdict.MISSING in verdicts:
        context.exit(SOMETHING_IS_MISSING)
    context.exit(SOMETHING_IS_NOT_KNOWN if Verdict.UNKNOWN in verdicts else 0)


async def _check(text: str | None, namespace: str | None) -> tuple[list[tuple[str, Row]], dict[str, tuple[Need, ...]]]:
    rows: list[tuple[str, Row]] = []
    missing: dict[str, tuple[Need, ...]] = {}
    async with _world() as world:
        for resource in await _resources(world, text, namespace):
            found, needs = await ask(world, resource)
            rows += [(resource.key, row) for row in found]
            here = resource.metadata.namespace
            missing[here] = (*missing.get(here, ()), *needs)
    return rows, missing


async def _resources(world: World, text: str | None, namespace: str | None) -> list[ConfidentialSummarizer]:
    if text is not None:
        return [await find_resource(f"{namespace}/{text}" if namespace and "/" not in text else text)]
    if world.kube is None:
        raise TransientError("No cluster was reached. Set KUBECONFIG, or give the resource's file.")
    documents = await world.kube.list(SUMMARIZER, namespace or "default")
    if not documents:
        raise NotFound(f"Namespace {namespace or 'default'} has no resource. Give a file, or another --namespace.")
    return [ConfidentialSummarizer.parse(document) for document in documents]


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(credential())

        async def derive(resource: ConfidentialSummarizer, token_sha256: str | None) -> Derivation:
            return await derive_from_registry(resource, token_sha256=token_sha256)

        def blob(file_system: FileSystem) -> SealedBlob:
            anonymous = file_system.access is BlobAccess.ANONYMOUS
            return SealedBlob(BlobURL.parse(file_system.blob_url), None if anonymous else identity, retries=RETRIES)

        yield World(
            kube=await _cluster(stack),
            derive=derive,
            vault=lambda host: KeyVault(host, identity, retries=RETRIES),
            blob=blob,
            groups=partial(_groups, identity),
            roles=lambda subscription: RoleAssignments(identity, subscription, retries=RETRIES),
        )


def _groups(identity: AsyncTokenCredential, subscription: str) -> AbstractAsyncContextManager[Groups]:
    try:
        from confidential_summarizer.azure.container_groups import ContainerGroups
    except ImportError:
        raise TransientError("not looked at: needs pip install 'confidential-summarizer[operator]'") from None
    return ContainerGroups(identity, subscription, retries=RETRIES)


async def _cluster(stack: AsyncExitStack) -> KubernetesAPI | None:
    """Return the cluster of the kubeconfig; None where there is none, or nothing to ask it with."""
    try:
        return await stack.enter_async_context(cluster())
    except (SpecError, TransientError):
        return None


def _table(rows: list[tuple[str, Row]]) -> Table:
    several = len({key for key, _ in rows}) > 1
    table = Table(box=None, pad_edge=False)
    for column in (*(["RESOURCE"] if several else []), "WHAT", "RESULT"):
        table.add_column(column, no_wrap=column == "RESULT", overflow="fold")
    table.add_column("WHAT TO DO", overflow="fold")
    for key, row in rows:
        told = [cell(row.what), cell(row.verdict.value, STYLES[row.verdict]), cell(row.detail)]
        table.add_row(*([cell(key)] if several else []), *told)
    return table
