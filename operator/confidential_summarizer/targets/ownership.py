"""What belongs to a resource, wherever it is: the names and marks of what is made for it, and nothing else is touched.

Kubernetes objects carry labels, to be found by, and an owner reference with the resource's UID, which decides.
Container groups carry tags. Their names hold a hash of the UID, so that a group whose tags somebody replaced is still
known; nobody else's group has such a name by chance.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.api.names import (
    API_VERSION,
    INSTANCE_LABEL,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAME_LABEL,
)
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.errors import AccessDenied, NameTaken, WaitingError
from confidential_summarizer.kube import NAMESPACE, Kind, KubernetesAPI, Object

TAG_PREFIX = "confidential-summarizer-"
"""Of every tag that we set."""
OWNER_TAG = f"{TAG_PREFIX}owner"
"""`namespace/name` of the resource; tells a person in the portal whose group it is."""
OWNER_UID_TAG = f"{TAG_PREFIX}uid"
"""UID of the resource; a group with another UID belongs to somebody else and is never touched."""
CLUSTER_TAG = f"{TAG_PREFIX}cluster"
"""UID of the namespace kube-system, by which Kubernetes clusters are told apart; only where the operator may read it.
For people who look for groups that nobody owns any more: nothing here is decided by it."""

COLLECTION_SECONDS = 2.0
"""The garbage collector needs about as long for what a resource has left."""

MAX_NAME = 63
"""Characters in the name of a container group."""


def labels_of(metadata: Metadata) -> dict[str, str]:
    """Return the labels that select everything deployed for a resource."""
    return {
        NAME_LABEL: "confidential-summarizer",
        INSTANCE_LABEL: metadata.name,
        MANAGED_BY_LABEL: MANAGED_BY,
    }


def owner_reference(metadata: Metadata) -> dict[str, Any]:
    """Return the reference by which Kubernetes removes children together with their resource."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ours(found: Object, metadata: Metadata) -> bool:
    """Tell whether the object was made for this very resource, not for an earlier one of the same name."""
    return any(owner.get("uid") == metadata.uid for owner in found["metadata"].get("ownerReferences") or ())


async def get_ours(kube: KubernetesAPI, metadata: Metadata, kind: Kind, name: str) -> Object | None:
    """Return the resource's own object of that name, or None where the name is free.

    Raises:
        NameTaken: The object is of somebody else.
        WaitingError: It is what an earlier resource of this name left to Kubernetes' garbage collector.
    """
    found = await kube.get(kind, metadata.namespace, name)
    if found is None or is_ours(found, metadata):
        return found
    owners = found["metadata"].get("ownerReferences") or ()
    if any((owner.get("kind"), owner.get("name")) == (KIND, metadata.name) for owner in owners):
        raise WaitingError(
            f"{kind.kind} {metadata.namespace}/{name} is of an earlier {metadata.key}: the garbage collector has "
            "yet to remove it",
            reason=Reason.PROGRESSING,
            retry_after=COLLECTION_SECONDS,
        )
    raise NameTaken(
        f"{kind.kind} {metadata.namespace}/{name} exists and is not of {metadata.key}: rename or delete it, or give "
        "the resource another name"
    )


async def delete_ours(kube: KubernetesAPI, metadata: Metadata, kind: Kind, name: str) -> None:
    """Delete the resource's own object of that name; one of somebody else is left alone."""
    found = await kube.get(kind, metadata.namespace, name)
    if found is not None and is_ours(found, metadata):
        await kube.delete(kind, metadata.namespace, name, uid=found["metadata"].get("uid"))


def group_name(metadata: Metadata, index: int) -> str:
    """Return the name of a container group: the same for every try, and never another resource's."""
    digest = hashlib.sha256(f"{metadata.key}/{metadata.uid}".encode()).hexdigest()[:8]
    tail = f"-{digest}-{index}"
    return f"{metadata.namespace}-{metadata.name}"[: MAX_NAME - len(tail)].rstrip("-") + tail


async def cluster_tag(kube: KubernetesAPI) -> dict[str, str]:
    """Return the tag of the cluster that a group is made from; none where the operator may not read it."""
    try:
        found = await kube.get(NAMESPACE, "kube-system", "kube-system")
    except AccessDenied:
        found = None
    return {CLUSTER_TAG: str(found["metadata"]["uid"])} if found else {}


def tags_of(metadata: Metadata) -> dict[str, str]:
    """Return the tags that every container group of a resource carries."""
    return {OWNER_TAG: metadata.key, OWNER_UID_TAG: metadata.uid}


def is_our_group(group: Mapping[str, Any], metadata: Metadata) -> bool:
    """Tell whether a container group was made for this very resource: by its tag or, where it has none, its name."""
    uid = (group.get("tags") or {}).get(OWNER_UID_TAG)
    if uid is not None:
        return bool(uid == metadata.uid)
    stem, _, index = str(group.get("name", "")).lower().rpartition("-")
    return index.isdigit() and group_name(metadata, int(index)) == f"{stem}-{index}"
