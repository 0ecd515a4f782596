"""Groups made straight through Azure Resource Manager, one container group for each replica.

A group's policy is fixed for the life of its utility VM, so another policy means another VM: delete, wait until it is
gone, create. An unchanged group is never sent again, because Resource Manager restarts whatever it is sent.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.target import ContainerGroup
from confidential_summarizer.azure.container_groups import ContainerGroupsAPI, GroupBody, events, failure
from confidential_summarizer.blueprint import PAGE_PORT
from confidential_summarizer.errors import NameTaken, SpecError, TransientError
from confidential_summarizer.policy.denial import find_denial
from confidential_summarizer.targets.container_group import HOST_DATA_TAG, OWNER_UID_TAG, group_name
from confidential_summarizer.targets.drift import differences
from confidential_summarizer.targets.observation import Drift, Group, GroupPhase, Observation
from confidential_summarizer.targets.pods import explanation
from confidential_summarizer.targets.target import Derivation

DELETION_SECONDS = 300.0
"""Longest wait for a group to be gone; on Azure it takes seconds to tens of seconds."""
POLL_SECONDS = 2.0
LEAVING = frozenset({"Deleting"})
COMPARED = ("image", "command", "environmentVariables", "securityContext")
"""What decides what runs; Resource Manager writes the rest in its own way."""


class Subscriptions(Protocol):
    """Opens the container groups of a subscription with the operator's identity."""

    def __call__(self, subscription: str) -> AbstractAsyncContextManager[ContainerGroupsAPI]:
        """Return the client as a context manager."""


class PageStatus(Protocol):
    """Asks a group's page where it stands: Resource Manager does not show readiness."""

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's status, or None while it does not answer."""


@dataclass(frozen=True)
class ArmGroups:
    """Groups as resources of Azure."""

    subscriptions: Subscriptions
    pages: PageStatus

    async def apply(self, resource: ConfidentialSummarizer, derivation: Derivation) -> None:
        """Create what is missing, replace what runs something else, remove what is too many; one after the other."""
        target = _target(resource)
        async with self.subscriptions(target.subscription_id) as groups:
            for name, live in (await _owned(groups, target, resource)).items():
                if name not in _names(resource) or list(_changes(derivation.manifest, live)):
                    await groups.delete(target.resource_group, name)
            for name in _names(resource):
                standing = await _settled(groups, target, name)
                if standing is None:
                    await groups.put(target.resource_group, name, derivation.manifest)
                elif not _is_ours(standing, resource):
                    raise NameTaken(
                        f"container group {target.resource_group}/{name} exists and is not of {resource.key}: delete "
                        "or rename it"
                    )

    async def drift(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Drift | None:
        """Return what differs from the wanted groups; None if there is none of them."""
        target = _target(resource)
        async with self.subscriptions(target.subscription_id) as groups:
            owned = await _owned(groups, target, resource)
        if not owned:
            return None if resource.spec.replicas else Drift()
        missing = [f"{name} is missing" for name in _names(resource) if name not in owned]
        extra = [f"{name} is too many" for name in owned if name not in _names(resource)]
        changed = [f"{name}: {path}" for name, live in owned.items() for path in _changes(derivation.manifest, live)]
        tags = {(live.get("tags") or {}).get(HOST_DATA_TAG) for live in owned.values()}
        intended = tags != {derivation.policy.host_data} or resource.spec.replicas != resource.status.replicas
        return Drift([*missing, *extra, *changed], intended)

    async def observe(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Observation:
        """Return the groups as they are now."""
        target = _target(resource)
        async with self.subscriptions(target.subscription_id) as groups:
            owned = await _owned(groups, target, resource)
        found = [await self._group(name, live) for name, live in owned.items()]
        return Observation(resource.spec.replicas, found, derivation.policy.host_data)

    async def remove(self, resource: ConfidentialSummarizer) -> bool:
        """Delete every group of the resource; True once none is left."""
        target = _target(resource)
        async with self.subscriptions(target.subscription_id) as groups:
            owned = await _owned(groups, target, resource)
            for name, live in owned.items():
                if live["properties"].get("provisioningState") not in LEAVING:
                    await groups.delete(target.resource_group, name)
        return not owned

    async def _group(self, name: str, live: GroupBody) -> Group:
        group = arm_group(name, live)
        if group.phase is not GroupPhase.RUNNING or group.address is None:
            return group
        status = await self.pages.status(group.address)
        ready = status is not None and status.get("state") == "Ready"
        return Group(name, group.host_data, GroupPhase.READY, group.address) if ready else group


def arm_group(name: str, live: GroupBody) -> Group:
    """Work out how far a container group has come, short of asking its page. Pure."""
    properties = live["properties"]
    messages = [str(event.get("message", "")) for event in events(live) if event.get("type") == "Warning"]
    denial = next(filter(None, map(find_denial, messages)), None)
    state, inside = properties.get("provisioningState"), (properties.get("instanceView") or {}).get("state")
    ip = (properties.get("ipAddress") or {}).get("ip")
    problem = failure(live)
    if state in LEAVING:
        phase, message = GroupPhase.LEAVING, "is going away"
    elif denial is not None and inside != "Running":
        phase, message = GroupPhase.DENIED, explanation(denial)
    elif problem is not None or inside in ("Failed", "Stopped"):
        phase, message = GroupPhase.FAILED, str(problem or next(iter(messages), f"the group is {inside}"))
    elif state == "Succeeded" and inside == "Running":
        phase, message = GroupPhase.RUNNING, ""
    else:
        phase, message = GroupPhase.STARTING, next(iter(messages), "")
    host_data = (live.get("tags") or {}).get(HOST_DATA_TAG, "")
    return Group(name, host_data, phase, f"{ip}:{PAGE_PORT}" if ip else None, message)


def _target(resource: ConfidentialSummarizer) -> ContainerGroup:
    target = resource.spec.target.container_group
    if target is None:
        raise SpecError(f"{resource.key} has no containerGroup target")
    return target


def _names(resource: ConfidentialSummarizer) -> list[str]:
    return [group_name(resource, replica) for replica in range(resource.spec.replicas)]


def _is_ours(live: GroupBody, resource: ConfidentialSummarizer) -> bool:
    return bool((live.get("tags") or {}).get(OWNER_UID_TAG) == resource.metadata.uid)


async def _owned(
    groups: ContainerGroupsAPI, target: ContainerGroup, resource: ConfidentialSummarizer
) -> dict[str, GroupBody]:
    """Return the groups that carry the resource's UID, each with its instance view."""
    listed = [group["name"] for group in await groups.list(target.resource_group) if _is_ours(group, resource)]
    found = {name: await groups.get(target.resource_group, name) for name in sorted(listed)}
    return {name: live for name, live in found.items() if live is not None}


async def _settled(groups: ContainerGroupsAPI, target: ContainerGroup, name: str) -> GroupBody | None:
    """Return a group that is not going away; None once there is none.

    Raises:
        TransientError: It does not go away.
    """
    try:
        async with asyncio.timeout(DELETION_SECONDS):
            while True:
                live = await groups.get(target.resource_group, name)
                if live is None or live["properties"].get("provisioningState") not in LEAVING:
                    return live
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise TransientError(f"container group {target.resource_group}/{name} is still being deleted") from None


def _changes(manifest: Mapping[str, Any], live: GroupBody) -> Iterator[str]:
    """Yield what of a live group is not what was sent, as far as it decides what runs."""
    wanted, found = manifest["properties"], live["properties"]
    tag = (live.get("tags") or {}).get(HOST_DATA_TAG)
    if found.get("provisioningState") not in LEAVING and manifest["tags"][HOST_DATA_TAG] != tag:
        yield "policy"
    yield from differences(_containers(wanted), _containers(found), "containers")


def _containers(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": c["name"], **{key: c["properties"][key] for key in COMPARED if key in c["properties"]}}
        for c in properties.get("containers", ())
    ]
