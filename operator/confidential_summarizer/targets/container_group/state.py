"""How far a container group has come, from what Resource Manager says of it. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.azure.classification import describe
from confidential_summarizer.blueprint import PAGE_PORT
from confidential_summarizer.errors import SummarizerError, quoted
from confidential_summarizer.policy.denial import explanation, find_denial
from confidential_summarizer.targets.container_group.rendering import CREATED_TAG, HOST_DATA_TAG
from confidential_summarizer.targets.observation import Group, GroupPhase

GroupBody = Mapping[str, Any]
"""The ARM resource `Microsoft.ContainerInstance/containerGroups` as JSON."""

LEAVING = frozenset({"Deleting"})
FAILED = frozenset({"Failed", "Canceled"})
STOPPED = "Stopped"


def group_of(live: GroupBody, *, page_ready: bool) -> Group:
    """Work out how far a container group has come.

    Args:
        live: The resource; its instance view may be left out where the page is ready.
        page_ready: Whether the group's page says that it is: Resource Manager does not show readiness.
    """
    properties = live["properties"]
    messages = [str(event.get("message") or "") for event in events(live) if event.get("type") == "Warning"]
    denial = next(filter(None, map(find_denial, messages)), None)
    said = quoted(next(iter(messages), ""))
    state, inside = properties.get("provisioningState"), inner_state(live)
    problem = failure(live)
    if state in LEAVING:
        phase, message = GroupPhase.LEAVING, "is going away"
    elif page_ready:
        phase, message = GroupPhase.READY, ""
    elif denial is not None and inside != "Running":
        phase, message = GroupPhase.DENIED, explanation(denial)
    elif inside == "Succeeded" and properties.get("restartPolicy") == "Never":
        phase, message = GroupPhase.DONE, ""
    elif problem is not None or inside in ("Failed", STOPPED):
        phase, message = GroupPhase.FAILED, str(problem or said or f"the group is {quoted(inside)}")
    elif state == "Succeeded" and inside == "Running":
        phase, message = GroupPhase.RUNNING, ""
    else:
        phase, message = GroupPhase.STARTING, said
    return Group(live["name"], host_data(live), phase, address(live), message, identity=_identity(live))


def inner_state(live: GroupBody) -> str:
    """Return the state of the containers, which is not that of their provisioning; empty where it is not told."""
    return str((live["properties"].get("instanceView") or {}).get("state") or "")


def address(live: GroupBody) -> str | None:
    """Return `host:port` of a group's page, once it has an address."""
    ip = (live["properties"].get("ipAddress") or {}).get("ip")
    return f"{ip}:{PAGE_PORT}" if ip else None


def host_data(live: GroupBody) -> str:
    """Return the hash of the policy that a group runs with: of the policy itself, which ARM repeats, else its tag's."""
    policy = (live["properties"].get("confidentialComputeProperties") or {}).get("ccePolicy")
    try:
        return hashlib.sha256(base64.b64decode(str(policy or "-"), validate=True)).hexdigest()
    except binascii.Error:
        return str((live.get("tags") or {}).get(HOST_DATA_TAG, ""))


def failure(group: GroupBody) -> SummarizerError | None:
    """Return what is wrong with a group that ARM accepted and could not start, or None.

    ARM reports such a failure only in words: those of the events, where it says more than `Failed` or `Canceled`.

    Args:
        group: The resource with its instance view.
    """
    state = group.get("properties", {}).get("provisioningState")
    if state not in FAILED:
        return None
    texts = [f"{event.get('name', '')}: {event.get('message', '')}" for event in events(group)]
    subject = f"Container group {group.get('name', '')}"
    return describe(subject, state, " ".join(texts) or "no event says why", status=500)


def events(group: GroupBody) -> list[Mapping[str, Any]]:
    """Return the events of a group and of all its containers, warnings first."""
    properties = group.get("properties", {})
    views = [properties.get("instanceView"), *(view for _, view in _containers(group))]
    found = [event for view in views for event in (view or {}).get("events") or ()]
    return sorted(found, key=lambda event: event.get("type") != "Warning")


def _containers(group: GroupBody) -> list[tuple[str, Mapping[str, Any]]]:
    properties = group.get("properties", {})
    containers = [*(properties.get("initContainers") or ()), *(properties.get("containers") or ())]
    return [(c.get("name", ""), c.get("properties", {}).get("instanceView") or {}) for c in containers]


def _identity(live: GroupBody) -> str:
    """Return what another group of the same name has another of: when it was made, and where it answers."""
    return f"{(live.get('tags') or {}).get(CREATED_TAG, '')} {address(live) or ''}".strip()
