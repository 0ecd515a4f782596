"""Groups that run as pods on a virtual node: reading, writing and removing what makes them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from confidential_summarizer.api.batch import Batch
from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.target import Placement
from confidential_summarizer.blueprint import Blueprint
from confidential_summarizer.kube import (
    DEPLOYMENT,
    EVENT,
    JOB,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
    KubernetesAPI,
    Object,
)
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.policy.document import Policy
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from confidential_summarizer.targets.observation import Group, Observation
from confidential_summarizer.targets.ownership import delete_ours, is_ours, labels_of
from confidential_summarizer.targets.target import Derivation, Desired, Manifest, Plan, Removal
from confidential_summarizer.targets.virtual_node import planning, state
from confidential_summarizer.targets.virtual_node.planning import (
    Apply,
    Delete,
    Live,
    Replace,
    changes,
    is_last_sent,
    manifests,
    release,
    replacement,
)
from confidential_summarizer.targets.virtual_node.rendering import render, with_policy

SERVER = (DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)
BATCH = (JOB,)
CHILDREN = (*SERVER, *BATCH)


@dataclass
class VirtualNodeTarget:
    """Pods of one Deployment, a Service in front of them, and a budget for their disruption; or pods of one Job."""

    kube: KubernetesAPI
    _unchanged: dict[tuple[str, str, str], tuple[str | None, str | None]] = field(default_factory=dict)
    """By kind, namespace and name: resourceVersion and UID of the objects that were last found to be as sent."""

    @staticmethod
    def render(
        resource: ConfidentialSummarizer,
        blueprint: Blueprint,
        images: Mapping[str, MeasuredImage],
        settings: PolicySettings,
    ) -> tuple[Manifest, Policy]:
        """See `Render`."""
        workload = render(blueprint, resource)
        policy = virtual_node_policy(workload["spec"]["template"], images, settings)
        return with_policy(workload, policy), policy

    async def read(self, resource: ConfidentialSummarizer, derivation: Derivation | None = None) -> Live:
        """Read the objects and the pods, and the events of pods that are not ready."""
        metadata = resource.metadata
        kinds: tuple[Kind, ...] = SERVER if resource.spec.batch is None else BATCH
        found = await asyncio.gather(*(self.kube.get(kind, metadata.namespace, metadata.name) for kind in kinds))
        children = {kind.kind: child for kind, child in zip(kinds, found, strict=True) if child is not None}
        pods = await self._pods(metadata)
        waiting = [pod for pod in pods if not state.ready(pod) and pod.get("status", {}).get("phase") != "Succeeded"]
        messages = await asyncio.gather(*(self._messages(pod) for pod in waiting))
        return Live(
            children,
            await self._normalised(metadata, derivation, children) if derivation else {},
            pods,
            {pod["metadata"]["uid"]: said for pod, said in zip(waiting, messages, strict=True)},
        )

    def plan(self, desired: Desired, live: Live, now: datetime) -> Plan:
        """See `planning.plan`."""
        return planning.plan(desired, live)

    async def execute(self, plan: Plan) -> None:
        """Take the steps in their order; see `Target.execute`."""
        for step in plan.steps:
            assert isinstance(step, Apply | Replace | Delete)  # noqa: S101 - of our own planner
            if isinstance(step, Delete):
                meta = step.found["metadata"]
                await self.kube.delete(JOB, meta["namespace"], meta["name"], uid=meta.get("uid"))
            else:
                await (self.kube.apply(step.manifest) if isinstance(step, Apply) else self.kube.replace(step.manifest))

    async def observe(self, resource: ConfidentialSummarizer, live: Live, host_data: str) -> Observation:
        """Return the pods of the reading; those that are over only in the place of others that are missing."""
        over = [pod for pod in live.pods if state.finished(pod)]
        pods = [pod for pod in live.pods if not state.finished(pod)]
        if resource.spec.batch is not None:
            job = live.children.get("Job")
            if job is not None and not (is_ours(job, resource.metadata) and state.counts(job, host_data)):
                job = None
            return self._observe_batch(resource.spec.batch, job, live, pods, over, host_data)
        missing = max(0, resource.spec.replicas - len(pods))
        groups = [_group(live, pod) for pod in [*pods, *over[::-1][:missing]]]
        deployment = live.children.get("Deployment")
        return Observation(
            wanted=resource.spec.replicas,
            groups=groups,
            host_data=host_data,
            blocked=state.blocked(deployment) if deployment else "",
            remarks=[f"{len(over)} pods are over and left to the cluster's garbage collection"] if over else [],
        )

    def _observe_batch(
        self,
        batch: Batch,
        job: Object | None,
        live: Live,
        pods: Sequence[Object],
        over: Sequence[Object],
        host_data: str,
    ) -> Observation:
        failures = [_group(live, pod) for pod in over if pod["status"]["phase"] == "Failed"]
        shards = state.shards(job, batch.shards, failures)
        left = batch.shards - len(shards.done | shards.failed)
        return Observation(
            wanted=min(batch.parallelism, left),
            groups=[_group(live, pod) for pod in pods],
            host_data=host_data,
            shards=shards,
        )

    async def remove(self, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool) -> Removal:
        """Remove the objects, and wait for the pods; see `Target.remove`."""
        if orphan:
            for kind in CHILDREN:
                found = await self.kube.get(kind, metadata.namespace, metadata.name)
                if found is not None and is_ours(found, metadata):
                    await self.kube.merge(kind, metadata.namespace, metadata.name, release(found, metadata))
            return Removal()
        workloads = [await self.kube.get(kind, metadata.namespace, metadata.name) for kind in (DEPLOYMENT, JOB)]
        known = [workload for workload in workloads if workload is not None]
        for kind in CHILDREN:
            self._unchanged.pop((kind.kind, metadata.namespace, metadata.name), None)
            await delete_ours(self.kube, metadata, kind, metadata.name)
        ours = [workload for workload in known if is_ours(workload, metadata)]
        if known and not ours:
            return Removal()  # somebody else has the name, so no pod was ever ours
        pods = await self._pods(metadata)
        left = [pod["metadata"]["name"] for pod in pods]
        if ours and not left:
            left = [metadata.name]
        return Removal(tuple(left), "; ".join(map(_terminating, pods)))

    async def _pods(self, metadata: Metadata) -> list[Object]:
        pods = await self.kube.list(POD, metadata.namespace, labels=labels_of(metadata))
        ours = [pod for pod in pods if state.of_controller(pod)]
        # The oldest first: it stays when others come and go with scaling, and so does the address that people know.
        return sorted(ours, key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]))

    async def _messages(self, pod: Object) -> list[str]:
        meta = pod["metadata"]
        events = await self.kube.list(EVENT, meta["namespace"], fields=f"involvedObject.uid={meta['uid']}")
        said = [event.get("message", "") for event in events if event.get("type") == "Warning"]
        return [*state.container_messages(pod), *said]

    async def _normalised(
        self, metadata: Metadata, derivation: Derivation, children: Mapping[str, Object]
    ) -> dict[str, Object]:
        """Ask the server what it would make of our manifests, of those that it last had as they are."""
        normalised: dict[str, Object] = {}
        for manifest in manifests(derivation.manifest, metadata):
            found = children.get(manifest["kind"])
            if found is None or not is_ours(found, metadata) or not is_last_sent(manifest, found):
                continue
            known = (found["metadata"].get("resourceVersion"), found["metadata"].get("uid"))
            key = (manifest["kind"], metadata.namespace, metadata.name)
            if known[0] and self._unchanged.get(key) == known:
                continue
            if manifest["kind"] == "Job":
                made = await self.kube.apply(manifest, dry_run=True)
            else:
                made = await self.kube.replace(replacement(manifest, found), dry_run=True)
            if changes(made, found):
                normalised[manifest["kind"]] = made
            else:
                self._unchanged[key] = known
        return normalised


def _group(live: Live, pod: Object) -> Group:
    return state.group(pod, live.messages.get(pod["metadata"]["uid"], ()))


def _terminating(pod: Object) -> str:
    meta = pod["metadata"]
    since = f" since {meta['deletionTimestamp']}" if meta.get("deletionTimestamp") else ""
    node = pod.get("spec", {}).get("nodeName", "no node")
    return (
        f"pod {meta['namespace']}/{meta['name']} on {node} is going away{since}; if that node is gone for good, its "
        "group may still run: delete it in Azure, then "
        f"`kubectl -n {meta['namespace']} delete pod {meta['name']} --force`"
    )
