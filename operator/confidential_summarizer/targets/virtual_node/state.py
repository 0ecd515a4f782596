"""How far the pods of a Deployment or a Job have come, and why there are none. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from confidential_summarizer.api.batch import read_indexes
from confidential_summarizer.api.names import HOST_DATA_ANNOTATION
from confidential_summarizer.blueprint import PAGE_PORT
from confidential_summarizer.errors import quoted
from confidential_summarizer.kube import Object
from confidential_summarizer.policy.denial import explanation, find_denial
from confidential_summarizer.targets.observation import Group, GroupPhase, Shards
from confidential_summarizer.targets.virtual_node.rendering import INDEX_ANNOTATION

ORDINARY_WAITS = frozenset({"ContainerCreating", "PodInitializing", "Creating", "Waiting", "Pending"})
"""Reasons of a waiting container that say nothing but that it takes time."""
_INDEX = re.compile("[0-9]{1,9}")


def group(pod: Mapping[str, Any], messages: Sequence[str]) -> Group:
    """Work out how far a pod has come. Pure.

    Args:
        pod: The pod as the API server holds it.
        messages: What its containers and its warning events say.
    """
    meta, status = pod["metadata"], pod.get("status", {})
    address = f"{status['podIP']}:{PAGE_PORT}" if status.get("podIP") else None
    denial = next(filter(None, map(find_denial, messages)), None)
    said = quoted(next(iter(messages), ""))
    if meta.get("deletionTimestamp"):
        phase, message = GroupPhase.LEAVING, "is going away"
    elif ready(pod):
        phase, message = GroupPhase.READY, ""
    elif denial is not None:
        phase, message = GroupPhase.DENIED, explanation(denial)
    elif status.get("phase") == "Failed":
        phase, message = GroupPhase.FAILED, quoted(status.get("message") or "") or said or "the pod failed"
    elif status.get("phase") == "Running":
        phase, message = GroupPhase.RUNNING, said
    else:
        phase, message = GroupPhase.STARTING, said or _unscheduled(status)
    host_data = meta.get("annotations", {}).get(HOST_DATA_ANNOTATION, "")
    index = meta.get("annotations", {}).get(INDEX_ANNOTATION, "")
    shard = int(index) if _INDEX.fullmatch(index) else None
    return Group(meta["name"], host_data, phase, address, message, identity=meta.get("uid", ""), shard=shard)


def finished(pod: Object) -> bool:
    """Tell whether the pod is over: evicted, refused by its node, or done; its controller makes another if need be."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def of_controller(pod: Object) -> bool:
    """Tell whether a ReplicaSet or a Job made the pod; one that only carries our labels is somebody else's."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") in ("ReplicaSet", "Job") and owner.get("controller") for owner in owners)


def counts(job: Object, host_data: str) -> bool:
    """Tell whether what a Job did counts: under this policy, and it is not on its way out."""
    metadata = job["metadata"]
    annotations = metadata.get("annotations") or {}
    return not metadata.get("deletionTimestamp") and annotations.get(HOST_DATA_ANNOTATION) == host_data


def shards(job: Object | None, total: int, failures: Sequence[Group]) -> Shards:
    """Return how far a Job is, from its own status.

    Args:
        job: The Job, once there is one.
        total: How many shards there are.
        failures: The pods that failed, the latest last.
    """
    status = (job or {}).get("status") or {}
    done, failed = read_indexes(status.get("completedIndexes")), read_indexes(status.get("failedIndexes"))
    cause = f"{failures[-1].name}: {failures[-1].message}" if failures else ""
    for condition in status.get("conditions") or ():
        if condition["type"] == "Failed" and condition["status"] == "True":
            failed = frozenset(range(total)) - done
            cause = cause or quoted(condition.get("message", ""))
    return Shards(total, done, failed, cause)


def blocked(workload: Object) -> str:
    """Return why a Deployment makes no pods, or cannot go on, in the words of its conditions; empty where it does."""
    for condition in workload.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"no pod can be created: {quoted(condition.get('message', ''))}"
    return ""


def rolling_out(deployment: Object) -> str:
    """Return how far the pods are from the Deployment's newest template; empty when all are of it."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    if not status:
        return ""
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        return "the Deployment's controller has not seen its last change yet"
    updated, all_pods = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if updated == wanted == all_pods:
        return ""
    slow = any(c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or ())
    said = f"{updated} of {wanted} pods are of the newest template, {all_pods} exist"
    return f"{said}, and it takes longer than it should" if slow else said


def ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether the page of a pod answers that it is ready."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def container_messages(pod: Mapping[str, Any]) -> list[str]:
    """Return what its containers say that is more than that it takes time."""
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
            return f"no virtual node takes the pod: {quoted(condition.get('message', ''))}"
    return ""
