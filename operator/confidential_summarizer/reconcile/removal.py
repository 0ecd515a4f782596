"""What happens to everything outside a resource that is being deleted.

Nothing here needs a spec that can be read: groups are found by what status remembers and by names that follow from the
resource's metadata. Nothing waits in place: what is left is said in the status and looked at again.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from confidential_summarizer.api.file_systems import Key
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.spec import DeletionPolicy
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.api.target import Placement, Target, TargetKind
from confidential_summarizer.errors import AccessDenied, NotFound, SpecError, SummarizerError, WaitingError
from confidential_summarizer.reconcile.annotations import Wishes, end_of_pause
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.grants import was_granted
from confidential_summarizer.reconcile.keys import dispose_of_key
from confidential_summarizer.reconcile.report import Report
from confidential_summarizer.targets.target import remove_everywhere

REMOVAL_SECONDS = 60.0
"""Longest that one try may take; then the status says so, and the next try comes after a pause."""

Leftovers = list[tuple[str, str]]
"""Reason and message of everything that is left behind."""

KEY_PATIENCE = timedelta(minutes=10)
"""How long a resource stays for a key that cannot be disabled or deleted, say because its vault is gone for good."""


async def remove(
    clients: Clients, document: Mapping[str, Any], report: Report, age: timedelta, key_patience: timedelta
) -> Leftovers:
    """Remove what is left outside the resource.

    Args:
        clients: The edges.
        document: The resource as the API server holds it, readable or not.
        report: What is known of it.
        age: How long it has been going.
        key_patience: How long it stays for a key that cannot be disabled or deleted.

    Returns:
        Reason and message of everything that was left behind, for events.

    Raises:
        WaitingError: Something is left; the message says what, and what holds it up.
    """
    with report.about(ConditionType.READY):
        wishes = Wishes.of(report.metadata)
        granted = await _is_granted(clients, document)
        places = _places(document, report, granted=granted)
        if wishes.abandon:
            return [(Reason.ABANDONED, f"let go by annotation; groups may be left in {'; '.join(map(str, places))}")]
        if wishes.pause:
            raise WaitingError(
                f"deletion is paused by annotation; {end_of_pause(report.metadata)}", reason=Reason.PAUSED
            )
        if not granted and not was_granted(report.before):
            return []  # it never got anywhere
        orphan = _spec(document).get("deletionPolicy") == DeletionPolicy.RETAIN
        await _remove_groups(clients, places, report, orphan=orphan)
        # Groups that are kept need their keys.
        waits = age < key_patience
        return [] if orphan else await _dispose_of_keys(clients, document, report, granted=granted, waits=waits)


async def _remove_groups(clients: Clients, places: Sequence[Placement], report: Report, *, orphan: bool) -> None:
    try:
        async with asyncio.timeout(REMOVAL_SECONDS):
            removal = await remove_everywhere(clients.targets, report.metadata, places, orphan=orphan)
    except TimeoutError:
        raise _held_up(f"{'; '.join(map(str, places))} does not answer") from None
    except SummarizerError as error:
        if isinstance(error, AccessDenied) and not (report.before.placements or report.before.replicas):
            return  # nothing was ever deployed, so nothing is left
        raise _held_up(str(error)) from error
    if removal.left:
        raise _held_up(": ".join(filter(None, (f"{', '.join(removal.left)} left", removal.cause))))


def _held_up(cause: str) -> WaitingError:
    return WaitingError(f"container groups are being removed: {cause}", reason=Reason.DELETING)


def _places(document: Mapping[str, Any], report: Report, *, granted: bool) -> list[Placement]:
    """Return every place that may hold groups: where status says they are, and where the spec would put them.

    A place that only the spec knows, and no grant, is none of the resource's: it never got there. Statuses from before
    places were remembered know none.
    """
    known = list(report.before.placements)
    here = Placement(kind=TargetKind.VIRTUAL_NODE)  # the own namespace: costs two calls, and needs no spec
    spec = _spec(document)
    with contextlib.suppress(ValidationError):
        here = Target.model_validate(spec.get("target")).placement(report.before.replicas)
    same = [place for place in known if place.same_place(here)]
    if known and not same and not granted:
        return known
    widest = here.model_copy(update={"groups": max(place.groups for place in [here, *same])})
    return [*(place for place in known if place not in same), widest]


async def _is_granted(clients: Clients, document: Mapping[str, Any]) -> bool:
    """Tell whether the resource may use what its spec names; not if that cannot be read."""
    with contextlib.suppress(SpecError):
        return await clients.grants.allow(ConfidentialSummarizer.parse(document))
    return False


async def _dispose_of_keys(
    clients: Clients, document: Mapping[str, Any], report: Report, *, granted: bool, waits: bool
) -> Leftovers:
    """Do with the keys what their deletion policies say; without a grant only in vaults that status knows a key in."""
    used = {urlsplit(key.id).hostname for key in report.keys}
    left = []
    for key in _keys(document):
        if not granted and key.vault.lower() not in used:
            continue
        try:
            await dispose_of_key(clients, report.metadata, key)
        except SummarizerError as error:
            subject = f"key {key.name} in {key.vault} could not be treated as its deletionPolicy says: {error}"
            if waits and not isinstance(error, NotFound):
                raise WaitingError(subject, reason=Reason.DELETING) from error
            left.append((Reason.KEY_LEFT.value, subject))
    return left


def _keys(document: Mapping[str, Any]) -> Iterator[Key]:
    file_systems = _spec(document).get("fileSystems")
    for file_system in file_systems if isinstance(file_systems, list) else ():
        with contextlib.suppress(ValidationError, AttributeError):
            yield Key.model_validate(file_system.get("key"))


def _spec(document: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = document.get("spec")
    return spec if isinstance(spec, Mapping) else {}
