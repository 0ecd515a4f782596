"""`csum why`: where a resource stands, what to do next, and what the cluster says beside it."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click
from rich.table import Table

from confidential_summarizer.api.names import INSTANCE_LABEL, KIND, MANAGED_BY, MANAGED_BY_LABEL
from confidential_summarizer.api.resource import Metadata, read_status
from confidential_summarizer.api.status import ASPECTS, Condition, ConditionStatus, ConditionType
from confidential_summarizer.cli.console import cell, emit, note, output_option
from confidential_summarizer.cli.resources import cluster
from confidential_summarizer.errors import NotFound
from confidential_summarizer.kube import EVENT, POD, SUMMARIZER, KubernetesAPI, Object
from confidential_summarizer.policy.denial import explanation, find_denial

NOT_READY = 1
MOST_EVENTS = 10
_COMMAND = re.compile(r"`((?:csum|kubectl|az) [^`]+)`")
"""Of the programs that our messages name: some of a message can be another's text."""
STYLES = {ConditionStatus.TRUE: "green", ConditionStatus.FALSE: "red", ConditionStatus.UNKNOWN: "dim"}


@dataclass(frozen=True)
class Beside:
    """An event of the cluster about the resource or one of its pods; a denial in it is decoded."""

    time: str
    type: str
    reason: str
    object: str
    message: str


@dataclass(frozen=True)
class Why:
    """Where a resource stands.

    Attributes:
        ready: Whether summaries are served.
        summary: The condition that says so, for people.
        chain: What Ready is made of, as far as the operator has said anything.
        commands: What to run next, from the message of the first that is not done.
        beside: The latest events, the newest last.
    """

    ready: bool
    summary: str
    chain: Sequence[Condition]
    commands: Sequence[str]
    beside: Sequence[Beside]


def explain(resource: Object, events: Sequence[Object]) -> Why:
    """Work out from status and events where a resource stands, whatever its spec says."""
    metadata, status = Metadata.model_validate(resource["metadata"]), read_status(resource.get("status") or {})
    ready = status.condition(ConditionType.READY)
    chain = [found for kind in ASPECTS if (found := status.condition(kind)) is not None]
    unseen = status.observed_generation != metadata.generation
    going = metadata.deletion_timestamp
    if ready is None or (going and unseen):
        what = f"its deletion of {going}" if going else "it"
        summary = f"the operator has not looked at {what} yet: is it running? `kubectl get pods -A | grep summarizer`"
    elif unseen:
        summary = f"the operator has not looked at the latest change yet; before it: {ready.reason}: {ready.message}"
    else:
        summary = f"{ready.reason} since {ready.last_transition_time}: {ready.message}"
    holds_up = next((c for c in chain if c.status is not ConditionStatus.TRUE), ready)
    done = ready is not None and ready.status is ConditionStatus.TRUE and not going
    text = summary if ready is None or (going and unseen) else holds_up.message if holds_up and not done else ""
    latest = sorted(map(_beside, events), key=lambda event: event.time)[-MOST_EVENTS:]
    return Why(done, summary, chain, commands_in(text), latest)


def commands_in(message: str) -> list[str]:
    """Return the commands that a message tells people to run: what stands between backticks."""
    return _COMMAND.findall(message)


def _beside(event: Object) -> Beside:
    message = str(event.get("message") or "")
    denial = find_denial(message)
    about = event.get("involvedObject") or {}
    return Beside(
        time=str(
            event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
        ),
        type=str(event.get("type") or ""),
        reason=str(event.get("reason") or ""),
        object=f"{about.get('kind')}/{about.get('name')}",
        message=explanation(denial) if denial is not None else message,
    )


async def look(kube: KubernetesAPI, namespace: str, name: str) -> Why:
    """Read a resource, its pods and the events about them.

    Raises:
        NotFound: There is no such resource.
    """
    document = await kube.get(SUMMARIZER, namespace, name)
    if document is None:
        raise NotFound(f"{KIND} {namespace}/{name} is not in the cluster.")
    pods = await kube.list(POD, namespace, labels={INSTANCE_LABEL: name, MANAGED_BY_LABEL: MANAGED_BY})
    return explain(document, about([document, *pods], await kube.list(EVENT, namespace)))


def about(objects: Sequence[Object], events: Sequence[Object]) -> list[Object]:
    """Return the events about some objects, and not about earlier ones of the same names."""
    uids = {one["metadata"]["uid"] for one in objects}
    return [event for event in events if (event.get("involvedObject") or {}).get("uid") in uids]


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the resource.")
@output_option
@click.pass_context
def why(context: click.Context, name: str, namespace: str, output: str) -> None:
    """Say where the resource NAME stands, what to do next, and what the cluster says beside it.

    Ends with 0 if it is ready, with 1 if not.
    """
    if "/" in name:
        namespace, _, name = name.partition("/")
    found = asyncio.run(_ask(namespace, name))
    document = asdict(found) | {"chain": [c.model_dump(by_alias=True, mode="json") for c in found.chain]}
    emit(document, output, _chain(found.chain))
    if output == "table":
        note("")
        note(f"{'Ready' if found.ready else 'Not ready'}: {found.summary}")
        for command in found.commands:
            note(f"  next: {command}")
        for event in found.beside:
            note(f"  {event.time} {event.type} {event.reason} {event.object}: {event.message}")
    context.exit(0 if found.ready else NOT_READY)


async def _ask(namespace: str, name: str) -> Why:
    async with cluster() as kube:
        return await look(kube, namespace, name)


def _chain(conditions: Sequence[Condition]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("CONDITION", "STATUS", "REASON", "MESSAGE"):
        table.add_column(column, no_wrap=column != "MESSAGE", overflow="fold")
    for one in conditions:
        table.add_row(cell(one.type), cell(one.status.value, STYLES[one.status]), cell(one.reason), cell(one.message))
    return table
