"""Which objects of the cluster belong to a resource: what marks them, and that nothing else is changed or deleted."""

from typing import Any

from confidential_summarizer.api.names import (
    API_VERSION,
    INSTANCE_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAME_LABEL,
)
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import NameTaken
from confidential_summarizer.kube.api import Kind, KubernetesAPI, Object


def labels_of(resource: ConfidentialSummarizer) -> dict[str, str]:
    """Return the labels that select everything deployed for a resource."""
    return {
        NAME_LABEL: "confidential-summarizer",
        INSTANCE_LABEL: resource.metadata.name,
        MANAGED_BY_LABEL: MANAGED_BY,
    }


def owner_reference(resource: ConfidentialSummarizer) -> dict[str, Any]:
    """Return the reference by which Kubernetes removes children together with their resource."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": resource.metadata.name,
        "uid": resource.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ours(found: Object, resource: ConfidentialSummarizer) -> bool:
    """Tell whether the object was made for this very resource, not for an earlier one of the same name."""
    return any(owner.get("uid") == resource.metadata.uid for owner in found["metadata"].get("ownerReferences") or ())


async def get_ours(kube: KubernetesAPI, resource: ConfidentialSummarizer, kind: Kind, name: str) -> Object | None:
    """Return the resource's own object of that name, or None where the name is free.

    Raises:
        NameTaken: The object is of somebody else.
    """
    found = await kube.get(kind, resource.metadata.namespace, name)
    if found is None or is_ours(found, resource):
        return found
    raise NameTaken(
        f"{kind.kind} {resource.metadata.namespace}/{name} exists and is not of {resource.key}: rename or delete it, "
        "or give the resource another name"
    )


async def delete_ours(kube: KubernetesAPI, resource: ConfidentialSummarizer, kind: Kind, name: str) -> None:
    """Delete the resource's own object of that name; one of somebody else is left alone."""
    found = await kube.get(kind, resource.metadata.namespace, name)
    if found is not None and is_ours(found, resource):
        await kube.delete(kind, resource.metadata.namespace, name, uid=found["metadata"].get("uid"))
