"""Groups that run as pods on a virtual node: apply the Deployment, compare it, and read what became of its pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confidential_summarizer.api.names import GENERATION_ANNOTATION, HOST_DATA_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import PAGE_PORT
from confidential_summarizer.kube import DEPLOYMENT, EVENT, POD, KubernetesAPI
from confidential_summarizer.kube.ownership import delete_ours, get_ours, labels_of
from confidential_summarizer.policy.denial import Denial, explain, find_denial
from confidential_summarizer.targets.drift import differences
from confidential_summarizer.targets.observation import Drift, Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Derivation

ORDINARY_WAITS = frozenset({"ContainerCreating", "PodInitializing", "Creating", "Waiting", "Pending"})
"""Reasons of a waiting container that say nothing but that it takes time."""


@dataclass(frozen=True)
class PodGroups:
    """Groups as pods of one Deployment for each resource."""

    kube: KubernetesAPI

    async def apply(self, resource: ConfidentialSummarizer, derivation: Derivation) -> None:
        """Create or update the Deployment; Kubernetes rolls its pods."""
        await get_ours(self.kube, resource, DEPLOYMENT, resource.metadata.name)
        await self.kube.apply(derivation.manifest)

    async def drift(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Drift | None:
        """Return the fields that differ from the manifest; None without a Deployment."""
        live = await get_ours(self.kube, resource, DEPLOYMENT, resource.metadata.name)
        if live is None:
            return None
        applied_for = live["metadata"].get("annotations", {}).get(GENERATION_ANNOTATION)
        intended = applied_for != str(resource.metadata.generation)
        return Drift(list(differences(derivation.manifest, live)), intended)

    async def observe(self, resource: ConfidentialSummarizer, derivation: Derivation) -> Observation:
        """Return the pods as groups; events are read only of pods that are not ready."""
        pods = await self.kube.list(POD, resource.metadata.namespace, labels=labels_of(resource))
        return Observation(
            wanted=resource.spec.replicas,
            groups=[await self._group(pod) for pod in pods if not _finished(pod)],
            host_data=derivation.policy.host_data,
        )

    async def remove(self, resource: ConfidentialSummarizer) -> bool:
        """Delete the Deployment; True once no pod is left, so that no group is left behind it."""
        namespace = resource.metadata.namespace
        await delete_ours(self.kube, resource, DEPLOYMENT, resource.metadata.name)
        return not await self.kube.list(POD, namespace, labels=labels_of(resource))

    async def _group(self, pod: Mapping[str, Any]) -> Group:
        messages = [] if _ready(pod) else [*_container_messages(pod), *await self._event_messages(pod)]
        return group(pod, messages)

    async def _event_messages(self, pod: Mapping[str, Any]) -> list[str]:
        meta = pod["metadata"]
        events = await self.kube.list(EVENT, meta["namespace"], fields=f"involvedObject.uid={meta['uid']}")
        return [event.get("message", "") for event in events if event.get("type") == "Warning"]


def group(pod: Mapping[str, Any], messages: Sequence[str]) -> Group:
    """Work out how far a pod has come. Pure.

    Args:
        pod: The pod as the API server holds it.
        messages: What its containers and its warning events say.
    """
    meta, status = pod["metadata"], pod.get("status", {})
    address = f"{status['podIP']}:{PAGE_PORT}" if status.get("podIP") else None
    denial = next(filter(None, map(find_denial, messages)), None)
    if meta.get("deletionTimestamp"):
        phase, message = GroupPhase.LEAVING, "is going away"
    elif _ready(pod):
        phase, message = GroupPhase.READY, ""
    elif denial is not None:
        phase, message = GroupPhase.DENIED, explanation(denial)
    elif status.get("phase") == "Failed":
        phase, message = GroupPhase.FAILED, status.get("message") or next(iter(messages), "the pod failed")
    elif status.get("phase") == "Running":
        phase, message = GroupPhase.RUNNING, next(iter(messages), "")
    else:
        phase, message = GroupPhase.STARTING, next(iter(messages), "") or _unscheduled(status)
    host_data = meta.get("annotations", {}).get(HOST_DATA_ANNOTATION, "")
    return Group(meta["name"], host_data, phase, address, message)


def explanation(denial: Denial) -> str:
    """Say in one line what the guest refused, and what to do about it."""
    return " ".join(f"{reason.error}: {reason.cause}; {reason.remedy}." for reason in explain(denial))


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _finished(pod: Mapping[str, Any]) -> bool:
    """Tell whether the pod is a remainder that its ReplicaSet has replaced already."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded") and bool(
        pod["metadata"].get("deletionTimestamp")
    )


def _container_messages(pod: Mapping[str, Any]) -> list[str]:
    messages = []
    for container in pod.get("status", {}).get("containerStatuses") or []:
        state = container.get("state", {})
        waiting = state.get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in ORDINARY_WAITS:
            messages.append(f"{container['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))
        terminated = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        if terminated.get("exitCode"):
            detail = terminated.get("message") or terminated.get("reason") or ""
            messages.append(f"{container['name']}: exited with code {terminated['exitCode']}: {detail}".rstrip(": "))
    return messages


def _unscheduled(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no virtual node takes the pod: {condition.get('message', '')}"
    return ""
