"""Render a blueprint as a Deployment, or a batch as a Job, of pods on virtual nodes on Azure Container Instances. Pure.

Annotations, labels and their effects: "PodCustomizations" of microsoft/virtualnodesOnAzureContainerInstances.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.api.batch import ANY_SHARD, Batch
from confidential_summarizer.api.names import APPLIED_ANNOTATION, FIXED_ANNOTATION, HOST_DATA_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.blueprint import (
    PAGE_PORT,
    READINESS_PERIOD_SECONDS,
    REMOTE_PATH,
    REMOTE_VOLUME,
    Blueprint,
    Container,
)
from confidential_summarizer.policy.capabilities import all_but
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION
from confidential_summarizer.targets.ownership import labels_of, owner_reference

ANNOTATION_PREFIX = "microsoft.containerinstance.virtualnode."
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
"""Where Kubernetes says of a pod which shard it is."""


def render(blueprint: Blueprint, resource: ConfidentialSummarizer) -> dict[str, Any]:
    """Return what makes the pods, still without a policy: the policy is computed from this very manifest."""
    labels = labels_of(resource.metadata)
    template: dict[str, Any] = {
        "metadata": {"labels": labels, "annotations": _annotations(blueprint, resource)},
        "spec": _pod_spec(blueprint, resource),
    }
    if blueprint.batch is not None:
        return _child("batch/v1", "Job", resource.metadata) | {"spec": _job(blueprint.batch, template)}
    return _child("apps/v1", "Deployment", resource.metadata) | {
        "spec": {
            "replicas": blueprint.replicas,
            "selector": {"matchLabels": labels},
            # The old group keeps serving, and keeps its key, until the new one is ready.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def _job(batch: Batch, template: dict[str, Any]) -> dict[str, Any]:
    # A new group for each try: the sidecar cannot mount a second time in the same one.
    template["spec"]["restartPolicy"] = "Never"
    return {
        "completionMode": "Indexed",
        "completions": batch.shards,
        "parallelism": batch.parallelism,
        "suspend": False,
        "backoffLimitPerIndex": batch.backoff_limit,
        # By default a pod that is going away counts as failed at once: no virtual node has to say how it ended, and two
        # groups of a shard for a moment write nothing twice.
        "template": template,
    }


def with_policy(manifest: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """Return what makes the pods with the policy that they are to be held to."""
    workload: dict[str, Any] = copy.deepcopy(dict(manifest))
    workload["metadata"]["annotations"][HOST_DATA_ANNOTATION] = policy.host_data
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    annotations[POLICY_ANNOTATION] = policy.base64
    annotations[HOST_DATA_ANNOTATION] = policy.host_data
    if workload["kind"] == "Job":
        fixed = {key: value for key, value in workload["spec"].items() if key != "parallelism"}
        workload["metadata"]["annotations"][FIXED_ANNOTATION] = _digest(fixed)
    return _signed(workload)


def service(metadata: Metadata) -> dict[str, Any]:
    """Return the one name of a resource's pages inside the cluster, however many there are.

    Readers in the virtual network are outside of the cluster and reach a group by its own address.
    """
    return _signed(
        _child("v1", "Service", metadata)
        | {
            "spec": {
                "type": "ClusterIP",
                "selector": labels_of(metadata),
                "ports": [{"name": "page", "port": PAGE_PORT, "targetPort": PAGE_PORT, "protocol": "TCP"}],
            }
        }
    )


def disruption_budget(metadata: Metadata) -> dict[str, Any]:
    """Return what keeps a drain from taking more than one page away at a time, and never stops it altogether."""
    return _signed(
        _child("policy/v1", "PodDisruptionBudget", metadata)
        | {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels_of(metadata)}}}
    )


def _child(api_version: str, kind: str, metadata: Metadata) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "labels": labels_of(metadata),
            "annotations": {},
            "ownerReferences": [owner_reference(metadata)],
        },
    }


def _signed(child: dict[str, Any]) -> dict[str, Any]:
    """Add the hash of a child to it."""
    child["metadata"]["annotations"][APPLIED_ANNOTATION] = _digest(child)
    return child


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _annotations(blueprint: Blueprint, resource: ConfidentialSummarizer) -> dict[str, str]:
    node = resource.spec.target.virtual_node
    annotations = {
        f"{ANNOTATION_PREFIX}identity": blueprint.identity,
        # Confidential pods have no kube-proxy, so cluster DNS cannot be reached and every lookup would stall.
        f"{ANNOTATION_PREFIX}injectdns": "false",
    }
    if node is not None and node.subnet_id:
        annotations[f"{ANNOTATION_PREFIX}subnets.primary"] = node.subnet_id
    if node is not None and node.zone:
        annotations[f"{ANNOTATION_PREFIX}zones"] = node.zone
    return annotations


def _pod_spec(blueprint: Blueprint, resource: ConfidentialSummarizer) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "nodeSelector": {"virtualization": "virtualnode2", "kubernetes.io/os": "linux"},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"}],
        # Neither a token of this cluster nor the names of its services belong into a group it does not trust.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_container(container) for container in blueprint.containers],
        "volumes": [{"name": REMOTE_VOLUME, "emptyDir": {}}],
    }
    credentials = resource.spec.registry_credentials
    if credentials is not None and credentials.secret_ref is not None:
        spec["imagePullSecrets"] = [{"name": credentials.secret_ref.name}]
    return spec


def _container(container: Container) -> dict[str, Any]:
    size = {"cpu": container.cpu, "memory": container.memory}
    rendered: dict[str, Any] = {
        "name": container.name,
        "image": container.image,
        "env": [_variable(name, value) for name, value in sorted(container.environment.items())],
        "resources": {"requests": size, "limits": size},
        "securityContext": _security_context(container),
        "volumeMounts": [_remote_mount(container)],
    }
    if container.command:
        rendered["command"] = list(container.command)
    if container.ports:
        rendered["ports"] = [{"containerPort": port, "protocol": "TCP"} for port in container.ports]
    if container.readiness_path:
        rendered["readinessProbe"] = {
            "httpGet": {"path": container.readiness_path, "port": container.ports[0], "scheme": "HTTPS"},
            "periodSeconds": READINESS_PERIOD_SECONDS,
        }
    return rendered


def _security_context(container: Container) -> dict[str, Any]:
    if container.privileged:
        return {"privileged": True}  # with which Kubernetes refuses any other restriction
    # Named one by one, since the guest takes away what is asked for beyond the policy and refuses what asks for less:
    # whatever a node makes of a name, the container starts with the same. Kubernetes' names have no prefix.
    dropped = [name.removeprefix("CAP_") for name in all_but(container.capabilities)]
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": dropped}}


def _variable(name: str, value: str) -> dict[str, Any]:
    if value != ANY_SHARD:
        return {"name": name, "value": value}
    # As the Job's controller would add it, which leaves a variable of this name alone.
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{INDEX_ANNOTATION}']"}}}


def _remote_mount(container: Container) -> dict[str, Any]:
    # The sidecar mounts below the volume after the others have started, so its mounts must travel to them.
    propagation = "Bidirectional" if container.privileged else "HostToContainer"
    return {"name": REMOTE_VOLUME, "mountPath": REMOTE_PATH, "mountPropagation": propagation}
