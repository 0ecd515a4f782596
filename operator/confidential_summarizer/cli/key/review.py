"""What there is to decide in an approval, for somebody who reads no policies: what is new, what it sees, what it sends.

Everything is read from the derived policy, which is what the guest enforces, and not from the resource.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from confidential_summarizer.blueprint import SUMMARIZER
from confidential_summarizer.cli.approvals import Approval
from confidential_summarizer.cli.key.released import newest_of, release_of
from confidential_summarizer.cli.terms import (
    document_sets,
    file_system,
    files_read,
    results_written,
    terms,
    unguarded,
    unpinned,
    what_is_shown,
    work_that_ends,
)
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.comparison import Difference, compare
from confidential_summarizer.policy.description import capability_words, is_wildcard, openings, sentences
from confidential_summarizer.policy.document import ContainerRules, PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.targets.target import Derivation

MICROSOFTS_REGISTRY = "mcr.microsoft.com"

_LONGEST_VALUE = 200
"""Characters that are shown of a value that changed; `--full` shows all of every value."""

_CONTEXT = 40
"""Characters that are shown before the first one that differs."""

_SIDECAR = "EncfsSideCarArgs"
"""Where the file systems are said: base64 of JSON, shown decoded because it names blobs and keys."""


def review(derivation: Derivation, last: Approval | None) -> Iterator[str]:
    """Say what there is to decide, the new first; a line that does not begin with a blank is a heading.

    Args:
        derivation: What would be approved.
        last: What was approved last for the same resource, if anything was.
    """
    document = parse_policy(derivation.policy.text)
    if last is None:
        yield "NEW: all of it. Nothing was approved for this resource on this machine before."
    else:
        changes = difference(last, derivation)
        since = f"since {last.time} (host-data {last.host_data[:12]}…)"
        yield f"NEW {since}:" if changes else f"NEW {since}: nothing."
        yield from (f"  {line}" for line in changes)
    yield "WHAT IT CAN SEE"
    yield from (f"  {line}" for line in _seen(document))
    yield "WHAT IT CAN SEND, AND WHERE"
    yield from (f"  {line}" for line in _sent(document))
    yield "WHAT RUNS"
    yield from (f"  {line}" for line in _running(document, derivation))


def dangers(derivation: Derivation) -> tuple[str, ...]:
    """Name what no policy for real text should allow."""
    document = parse_policy(derivation.policy.text)
    images = (line for name, measured in derivation.images.items() for line in _doubts(name, measured))
    risks = (*images, *unpinned(document), *unguarded(document))
    if openings(document):
        return ("Whoever runs the group can look into it. Do not approve this for real text.", *risks)
    return risks


def description(derivation: Derivation) -> tuple[str, ...]:
    """Say all that a policy allows, one fact a line."""
    document = parse_policy(derivation.policy.text)
    images = (f"{name} is image {measured.image.reference}." for name, measured in derivation.images.items())
    pinned = (line for container in document.containers for line in _pinned(container))
    return (*sentences(document), *terms(document), *images, *pinned)


def difference(old: Approval, new: Derivation) -> tuple[str, ...]:
    """Return what the new policy says differently, one line for each thing; none if both allow the same."""
    before, after = parse_policy(old.policy), parse_policy(new.policy.text)
    changes = compare(before, after)
    variables = {name: (_variables(before, name), _variables(after, name)) for name in _names(before, after)}
    lines = [line for name, (was, now) in variables.items() for line in _changed_variables(name, was, now)]
    return (*lines, *(_line(change) for change in changes if not _is_pinned_variable(change)))


def _names(*documents: PolicyDocument) -> dict[str, None]:
    """Return the names of the containers that each of the documents has."""
    first, second = ({_name(container) for container in document.containers} for document in documents)
    return dict.fromkeys(sorted(first & second))


def _name(container: ContainerRules) -> str:
    return container.name or container.id or "container"


def _variables(document: PolicyDocument, name: str) -> dict[str, str]:
    """Return the pinned variables of a container; the sidecar's argument as one value for each thing it says."""
    found: dict[str, str] = {}
    for container in document.containers:
        if _name(container) != name:
            continue
        for rule in container.env_rules:
            if rule.strategy == "string":
                variable, _, value = rule.pattern.partition("=")
                said = _SAID.get(variable)
                found |= {variable: value} if said is None else _flat(said(value))
    return found


def _flat(value: object, path: str = "") -> dict[str, str]:
    """Return a JSON value's parts by their path, file systems by the place where they are mounted."""
    if isinstance(value, Mapping):
        return {
            name: part for key, item in value.items() for name, part in _flat(item, f"{path} {key}".strip()).items()
        }
    return {path: str(value)}


def _changed_variables(container: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            yield f"{container}, {name}: {_change(was.get(name), now.get(name))}"


def _is_pinned_variable(change: Difference) -> bool:
    said = str(change.before if change.after is None else change.after)
    return change.field == "env rule" and not said.removesuffix(" (required)").endswith(" (expression)")


def _line(change: Difference) -> str:
    if change.field == "layers":
        return f"{change.subject}, the image's files: they differ"
    return f"{change.subject}, {change.field}: {_change(change.before, change.after)}"


def file_systems(argument: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what the sidecar is told of each file system, by the place where it is mounted; nothing if unreadable."""
    try:
        entries = json.loads(base64.b64decode(argument, validate=True))["azure_filesystems"]
        return {str(entry["mount_point"]): {k: v for k, v in entry.items() if k != "mount_point"} for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"(unreadable)": {"argument": argument}}


_SAID: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    _SIDECAR: file_systems,
    "SUMMARIZER_DOCUMENTS": document_sets,
}
"""What is shown thing by thing, not as one long value."""


def _seen(document: PolicyDocument) -> Iterator[str]:
    for container in document.containers:
        argument = {rule.name: rule.pattern.partition("=")[2] for rule in container.env_rules}.get(_SIDECAR)
        for place, told in file_systems(argument).items() if argument is not None else ():
            key = told.get("key", {})
            yield f"{file_system(place)}: {told.get('azure_url')}"
            yield (
                f"  opened with key {key.get('kid')} of {key.get('akv', {}).get('endpoint')}, "
                f"{'written, too' if told.get('read_write') else 'read only'}"
            )
    yield from files_read(document)
    looking = openings(document)
    yield f"WHOEVER RUNS IT CAN LOOK IN: {'; '.join(looking)}." if looking else "Whoever runs it cannot look in."


def _sent(document: PolicyDocument) -> Iterator[str]:
    yield from tuple(work_that_ends(document)) or _readers(document)
    yield from what_is_shown(document)
    yield from results_written(document)
    yield "No policy limits the network: what an image does with the text is as good as who made it (next)."


def _readers(document: PolicyDocument) -> Iterator[str]:
    for container in document.containers:
        variables = {rule.name: rule.pattern.partition("=")[2] for rule in container.env_rules}
        if "SUMMARIZER_DOCUMENTS" not in variables:
            continue
        token = variables.get("SUMMARIZER_TOKEN_SHA256")
        readers = f"who has the token with SHA-256 {token}" if token else "ANYBODY who reaches the page"
        names = " The documents' file names are shown." if variables.get("SUMMARIZER_SHOW_NAMES") == "true" else ""
        yield f"Summaries go to {readers}.{names}"


def _running(document: PolicyDocument, derivation: Derivation) -> Iterator[str]:
    for container in document.containers:
        measured = derivation.images.get(container.name)
        if measured is None and not container.allow_elevated:
            continue  # the platform's pause container
        image = str(measured.image.reference) if measured is not None else container.id or "part of the platform"
        yield f"{_name(container)}: {image}"
        if measured is not None:
            yield from _provenance(container.name, measured)
        user = container.user.user
        who = "the image's user" if user.strategy == "any" else f"user {user.pattern}"
        privileged = "PRIVILEGED, as " if container.allow_elevated else "as "
        escalation = "" if container.no_new_privileges else ", may gain privileges"
        yield f"  {privileged}{who}{escalation}"


def _doubts(container: str, measured: MeasuredImage) -> Iterator[str]:
    """Say that an image is of no release, or of one that another came after."""
    reference, version, newest = measured.image.reference, release_of(container, measured), newest_of(container)
    kind = "image" if container == SUMMARIZER else "sidecar"
    if newest is not None and version is not None and newest.digest != measured.image.digest:
        yield f"OLD {kind}: {reference} is of release {version}, and release {newest.version} came with another."
    elif version is None and container == SUMMARIZER:
        yield f"UNKNOWN image: nobody vouches that {reference} only summarizes."
    elif version is None:
        yield f"UNKNOWN sidecar: {reference} gets the keys and all text, and may be an old one, or anybody's."


def _provenance(container: str, measured: MeasuredImage) -> Iterator[str]:
    if not measured.image.reference.pinned:
        yield f"  (a tag, which names {measured.image.digest} today)"
    version, own = release_of(container, measured), container == SUMMARIZER
    if version:
        yield f"  the {'summarizer' if own else 'sidecar'} of release {version}"
    else:
        yield f"  UNKNOWN {'image' if own else 'sidecar'}: no release that this csum knows came with it"
        if not own and measured.image.reference.registry != MICROSOFTS_REGISTRY:
            yield f"  NOT from {MICROSOFTS_REGISTRY}: its digest has to be that of Microsoft's image"


def _pinned(container: ContainerRules) -> Iterator[str]:
    for rule in container.env_rules:
        if rule.strategy == "string" and not is_wildcard(rule):
            yield f"{_name(container)} has {_shown(rule.pattern)}"
    yield f"{_name(container)} has capabilities: {capability_words(container.capabilities)}"
    for mount in container.mounts:
        yield f"{_name(container)} mounts {mount.destination} ({', '.join(mount.options)})"


def _shown(variable: str) -> str:
    name, _, value = variable.partition("=")
    return f"{name}={json.dumps(file_systems(value))}" if name == _SIDECAR else variable


def _change(before: object, after: object) -> str:
    """Show two values, long ones from shortly before the place where they begin to differ."""
    was, now = ("nothing" if value is None else str(value) for value in (before, after))
    start = 0
    if max(len(was), len(now)) > _LONGEST_VALUE:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
        start = max(0, same - _CONTEXT)
    return f"{_part(was, start)} → {_part(now, start)}"


def _part(text: str, start: int) -> str:
    end = start + _LONGEST_VALUE
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
