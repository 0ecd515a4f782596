"""What to do next about the objects of a resource on a virtual node. Pure.

Kubernetes rolls the pods of a Deployment. A Job's never change: where they would have to, another Job takes its place,
which costs what was under way and nothing that is done. What is compared is the whole object, against what the API
server itself would make of ours: its defaults and what its admission adds are in both, so whatever else differs is
somebody's change.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confidential_summarizer.api.names import APPLIED_ANNOTATION, FIXED_ANNOTATION
from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.api.spec import DriftPolicy
from confidential_summarizer.errors import NameTaken
from confidential_summarizer.kube import Object
from confidential_summarizer.targets.differences import differences
from confidential_summarizer.targets.ownership import is_ours, owner_reference
from confidential_summarizer.targets.target import Desired, Plan, Step
from confidential_summarizer.targets.virtual_node.rendering import disruption_budget, service
from confidential_summarizer.targets.virtual_node.state import rolling_out

RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` writes into a pod template: an order of the admin's, and no drift."""
COMPARED_METADATA = ("labels", "annotations", "ownerReferences")


@dataclass(frozen=True)
class Apply:
    """Create an object, or bring what may change of a Job to what is wanted."""

    manifest: Object

    def __str__(self) -> str:
        return f"applies {self.manifest['kind']} {self.manifest['metadata']['name']}"


@dataclass(frozen=True)
class Replace:
    """Put an object in the place of the one that was read; whatever it leaves out is gone."""

    manifest: Object

    def __str__(self) -> str:
        return f"updates {self.manifest['kind']} {self.manifest['metadata']['name']}"


@dataclass(frozen=True)
class Delete:
    """Delete the Job that was read, and its pods with it."""

    found: Object

    def __str__(self) -> str:
        return f"deletes Job {self.found['metadata']['name']}, for one of another template"


@dataclass(frozen=True)
class Live:
    """What one reading found.

    Attributes:
        children: The objects of the resource's name that exist, by kind; somebody else's included.
        normalised: What the API server would make of our manifests in their place, by kind; only where that differs.
        pods: The resource's pods.
        messages: By UID of a pod, what its containers and its warning events say.
    """

    children: Mapping[str, Object] = field(default_factory=dict)
    normalised: Mapping[str, Object] = field(default_factory=dict)
    pods: Sequence[Object] = ()
    messages: Mapping[str, Sequence[str]] = field(default_factory=dict)


def manifests(workload: Object, metadata: Metadata) -> list[Object]:
    """Return every object of a resource: what makes the pods last, when what they are reached by is there."""
    return [workload] if workload["kind"] == "Job" else [service(metadata), disruption_budget(metadata), workload]


def plan(desired: Desired, live: Live) -> Plan:
    """Return what has to be done next.

    Raises:
        NameTaken: Somebody else's object has a name that is needed.
    """
    metadata = desired.resource.metadata
    steps: list[Step] = []
    drift: list[str] = []
    for manifest in manifests(desired.derivation.manifest, metadata):
        kind = manifest["kind"]
        found = live.children.get(kind)
        if found is None:
            steps.append(Apply(manifest))
        elif not is_ours(found, metadata):
            if kind not in ("Deployment", "Job"):
                continue  # an admin's own Service or budget of that name serves as well, and stays theirs
            raise NameTaken(
                f"{kind} {metadata.key} exists and is not of {metadata.key}: rename or delete it, or give the resource "
                "another name"
            )
        elif kind == "Job" and found["metadata"].get("deletionTimestamp"):
            return Plan(waits=f"Job {metadata.name}: going away")
        elif kind == "Job" and _annotation(manifest, FIXED_ANNOTATION) != _annotation(found, FIXED_ANNOTATION):
            steps.append(Delete(found))
        elif not is_last_sent(manifest, found):
            steps.append(_update(manifest, found))
        else:
            paths = [f"{kind}: {path}" for path in changes(live.normalised.get(kind, found), found)]
            drift += paths
            if paths and desired.resource.spec.drift_policy is DriftPolicy.CORRECT:
                steps.append(_update(manifest, found))
    deployment = live.children.get("Deployment")
    return Plan(tuple(steps), tuple(sorted(drift)), rolling_out(deployment) if deployment else "")


def is_last_sent(manifest: Object, found: Object) -> bool:
    """Tell whether the object that exists was last sent as this very manifest."""
    return bool(_annotation(found, APPLIED_ANNOTATION) == _annotation(manifest, APPLIED_ANNOTATION))


def _update(manifest: Object, found: Object) -> Step:
    # The server fills in a Job's selector and the labels of its pods, and lets nobody leave them out again.
    return Apply(manifest) if manifest["kind"] == "Job" else Replace(replacement(manifest, found))


def replacement(manifest: Object, found: Object) -> dict[str, Any]:
    """Return the manifest as it takes the place of the object that was read.

    What decides what runs is ours alone. Other labels and annotations of the object stay, as do other owners.
    """
    document = copy.deepcopy(dict(manifest))
    old, new = found["metadata"], document["metadata"]
    for key in ("labels", "annotations"):
        new[key] = {**(old.get(key) or {}), **new[key]}
    new["ownerReferences"] += [
        o for o in old.get("ownerReferences") or () if o["uid"] != new["ownerReferences"][0]["uid"]
    ]
    new |= {key: old[key] for key in ("uid", "finalizers") if key in old}
    if document["kind"] == "PodDisruptionBudget" and "resourceVersion" in old:
        # The server insists on it for this kind alone. Elsewhere the UID is enough to hit no other object: controllers
        # write the status all the time, and what decides what runs is ours, whoever wrote last.
        new["resourceVersion"] = old["resourceVersion"]
    restarted = (_template(found).get("annotations") or {}).get(RESTARTED)
    if restarted:
        _template(document)["annotations"][RESTARTED] = restarted
    return document


def release(found: Object, metadata: Metadata) -> dict[str, Any]:
    """Return the patch that takes away the owner reference by which the object would go together with its resource.

    A patch, as controllers write the status of these objects all the time, and nothing else of them is changed. The
    UID in it lets the server refuse another object that has taken the name since.
    """
    owners = found["metadata"].get("ownerReferences") or []
    kept = [owner for owner in owners if owner.get("uid") != owner_reference(metadata)["uid"]]
    return {"metadata": {"uid": found["metadata"]["uid"], "ownerReferences": kept}}


def changes(wanted: Object, found: Object) -> list[str]:
    """Return the paths in which two objects differ, as far as they can be anybody's change."""

    def view(item: Object) -> dict[str, Any]:
        metadata = {key: item["metadata"].get(key) for key in COMPARED_METADATA}
        return {"metadata": metadata, "spec": item.get("spec")}

    return list(differences(view(wanted), view(found)))


def _template(document: Object) -> Any:
    return document["spec"].get("template", {}).get("metadata", {})


def _annotation(document: Object, name: str) -> Any:
    return (document["metadata"].get("annotations") or {}).get(name)
