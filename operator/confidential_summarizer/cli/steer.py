"""`csum pause`, `resume`, `reconcile` and `resolve`: what is asked of the operator beside the spec, by annotations."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from confidential_summarizer.api.names import KIND, PAUSE_ANNOTATION, RECONCILE_ANNOTATION, RESOLVE_ANNOTATION
from confidential_summarizer.cli.console import note
from confidential_summarizer.cli.resources import cluster
from confidential_summarizer.errors import NotFound, TransientError
from confidential_summarizer.kube import SUMMARIZER, KubernetesAPI, Object

POLL_SECONDS = 0.5
NOT_READY = 1


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("-n", "--namespace", default="default", show_default=True, help="Namespace.")(command)
    return click.argument("name")(command)


_wait_option = click.option(
    "--timeout", default=60.0, show_default=True, help="Seconds to wait until the operator has done it; 0: do not."
)


@click.command()
@_named
def pause(name: str, namespace: str) -> None:
    """Let the operator look at the resource NAME and say what it sees, but change nothing."""
    asyncio.run(_annotate(namespace, name, {PAUSE_ANNOTATION: "true"}))
    note(f"{namespace}/{name} is paused; `kubectl csum resume {name} -n {namespace}` ends it.")


@click.command()
@_named
def resume(name: str, namespace: str) -> None:
    """Let the operator work on the resource NAME again."""
    asyncio.run(_annotate(namespace, name, {PAUSE_ANNOTATION: None}))
    note(f"{namespace}/{name} is no longer paused.")


@click.command()
@_named
@_wait_option
@click.pass_context
def reconcile(context: click.Context, name: str, namespace: str, timeout: float) -> None:
    """Have the operator look at the resource NAME now. Ends with 0 if it is ready afterwards, with 1 if not."""
    context.exit(asyncio.run(_request(namespace, name, RECONCILE_ANNOTATION, "lastHandledReconcileAt", timeout)))


@click.command()
@_named
@_wait_option
@click.pass_context
def resolve(context: click.Context, name: str, namespace: str, timeout: float) -> None:
    """Have the operator resolve the tags of the resource NAME's images anew, which may change its policy."""
    context.exit(asyncio.run(_request(namespace, name, RESOLVE_ANNOTATION, "lastHandledResolveAt", timeout)))


async def _annotate(namespace: str, name: str, annotations: dict[str, str | None]) -> None:
    async with cluster() as kube:
        await annotate(kube, namespace, name, annotations)


async def annotate(kube: KubernetesAPI, namespace: str, name: str, annotations: dict[str, str | None]) -> None:
    """Set annotations of a resource; None removes one.

    Raises:
        NotFound: There is no such resource.
    """
    if await kube.merge(SUMMARIZER, namespace, name, {"metadata": {"annotations": annotations}}) is None:
        raise NotFound(f"{KIND} {namespace}/{name} is not in the cluster.")


async def _request(namespace: str, name: str, annotation: str, answer: str, timeout_seconds: float) -> int:
    async with cluster() as kube:
        return await request(kube, namespace, name, annotation, answer, timeout_seconds)


async def request(
    kube: KubernetesAPI, namespace: str, name: str, annotation: str, answer: str, timeout_seconds: float
) -> int:
    """Ask by an annotation, and wait until the status answers; return the exit code.

    Args:
        kube: The cluster.
        namespace: The resource's namespace.
        name: The resource.
        annotation: What carries the request; its value is the time.
        answer: The field of the status that repeats the value once the request was obeyed.
        timeout_seconds: How long to wait; 0 does not.

    Raises:
        NotFound: There is no such resource.
        TransientError: The operator did not answer in time.
    """
    asked = datetime.now(UTC).isoformat()
    await annotate(kube, namespace, name, {annotation: asked})
    if not timeout_seconds:
        note(f"{namespace}/{name} will be looked at.")
        return 0
    try:
        async with asyncio.timeout(timeout_seconds):
            status = await _answered(kube, namespace, name, answer, asked)
    except TimeoutError:
        raise TransientError(
            f"{namespace}/{name}: the operator did not answer within {timeout_seconds:g} s. Is it running? "
            f"`kubectl csum why {name} -n {namespace}`"
        ) from None
    ready: Object = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    note(f"{namespace}/{name}: {ready.get('reason')}: {ready.get('message')}")
    return 0 if ready.get("status") == "True" else NOT_READY


async def _answered(kube: KubernetesAPI, namespace: str, name: str, answer: str, asked: str) -> Object:
    while True:
        status = await _status(kube, namespace, name)
        if status.get(answer) == asked:
            return status
        await asyncio.sleep(POLL_SECONDS)


async def _status(kube: KubernetesAPI, namespace: str, name: str) -> Object:
    found = await kube.get(SUMMARIZER, namespace, name)
    if found is None:
        raise NotFound(f"{KIND} {namespace}/{name} is no longer in the cluster.")
    status: Object = found.get("status") or {}
    return status
