"""`csum status` and `csum report`: every resource on one screen; all about one of them, to hand to whoever helps."""

import asyncio
import importlib.metadata
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import click
import yaml
from rich.table import Table

from confidential_summarizer.api.names import INSTANCE_LABEL, KIND, MANAGED_BY, MANAGED_BY_LABEL
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.cli.console import cell, emit, output_option
from confidential_summarizer.cli.resources import cluster
from confidential_summarizer.cli.why import about, commands_in
from confidential_summarizer.errors import AccessDenied, NotFound
from confidential_summarizer.kube import DEPLOYMENT, EVENT, GRANT, POD, SUMMARIZER, KubernetesAPI, Object

NOT_READY = 1
REPEATED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that holds the whole object once more."""


@click.command()
@click.option("-n", "--namespace", default="", help="Namespace.  [default: all]")
@output_option
@click.pass_context
def status(context: click.Context, namespace: str, output: str) -> None:
    """Show where every resource stands, and what to run next. Ends with 1 unless all are ready."""
    rows = [row(document) for document in asyncio.run(_list(namespace))]
    emit(rows, output, _table(rows))
    context.exit(0 if all(one["ready"] == "True" for one in rows) else NOT_READY)


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the resource.")
def report(name: str, namespace: str) -> None:
    """Write all that the cluster says about the resource NAME as one YAML document; no Secret is read."""
    click.echo(yaml.safe_dump(asyncio.run(_collect(namespace, name)), sort_keys=False, width=120), nl=False)


def row(document: Object) -> dict[str, str]:
    """Return where a resource stands, in words."""
    metadata, known = document["metadata"], document.get("status") or {}
    conditions = {c["type"]: c for c in known.get("conditions") or ()}
    ready: Mapping[str, Any] = conditions.get(ConditionType.READY, {})
    deleting = "Deleting" if metadata.get("deletionTimestamp") else ""
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "ready": ready.get("status", "Unknown"),
        "reason": deleting or ready.get("reason", "NotSeenYet"),
        "since": metadata.get("deletionTimestamp") or ready.get("lastTransitionTime", ""),
        "next": "" if ready.get("status") == "True" else "; ".join(commands_in(ready.get("message", ""))),
    }


async def collect(kube: KubernetesAPI, namespace: str, name: str) -> dict[str, Any]:
    """Return a resource and all about it that whoever asks may read.

    Raises:
        NotFound: There is no such resource.
    """
    resource = await kube.get(SUMMARIZER, namespace, name)
    if resource is None:
        raise NotFound(f"{KIND} {namespace}/{name} is not in the cluster.")
    labels = {INSTANCE_LABEL: name, MANAGED_BY_LABEL: MANAGED_BY}
    deployments = await _may(kube.list(DEPLOYMENT, namespace, labels=labels))
    pods = await _may(kube.list(POD, namespace, labels=labels))
    events = await _may(kube.list(EVENT, namespace))
    objects = [resource, *_listed(deployments), *_listed(pods)]
    return {
        "csum": importlib.metadata.version("confidential-summarizer"),
        "resource": slim(resource),
        "grants": _slim(await _may(kube.list(GRANT, ""))),
        "deployments": _slim(deployments),
        "pods": _slim(pods),
        "events": events if isinstance(events, str) else [slim(event) for event in about(objects, events)],
    }


def slim(document: Object) -> dict[str, Any]:
    """Return an object without what repeats it."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    if REPEATED in (annotations := metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != REPEATED}
    return {**document, "metadata": metadata}


def _slim(found: Sequence[Object] | str) -> list[dict[str, Any]] | str:
    return found if isinstance(found, str) else [slim(document) for document in found]


def _listed(found: Sequence[Object] | str) -> Sequence[Object]:
    return () if isinstance(found, str) else found


async def _may(question: Awaitable[list[Object]]) -> list[Object] | str:
    """Return what was asked for, or why it may not be read."""
    try:
        return await question
    except AccessDenied as error:
        return str(error)


async def _list(namespace: str) -> list[Object]:
    async with cluster() as kube:
        return await kube.list(SUMMARIZER, namespace)


async def _collect(namespace: str, name: str) -> dict[str, Any]:
    async with cluster() as kube:
        return await collect(kube, namespace, name)


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("NAMESPACE", "NAME", "READY", "REASON", "SINCE", "NEXT"):
        table.add_column(column, no_wrap=column != "NEXT", overflow="fold")
    for one in rows:
        table.add_row(*(cell(one[column]) for column in ("namespace", "name", "ready", "reason", "since", "next")))
    return table
