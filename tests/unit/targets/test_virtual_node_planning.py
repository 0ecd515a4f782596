"""What is done about the objects of a resource on a virtual node: what is there, then what is written."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from confidential_summarizer.api.names import APPLIED_ANNOTATION
from confidential_summarizer.api.target import Placement, TargetKind
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import NameTaken
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.observation import GroupPhase
from confidential_summarizer.targets.target import Desired, Plan, Removal
from confidential_summarizer.targets.virtual_node.planning import (
    RESTARTED,
    Live,
    changes,
    manifests,
    plan,
    release,
    replacement,
)
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget
from tests.support.fakes import FakeKube, measured
from tests.support.resources import resource

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HERE = [Placement(kind=TargetKind.VIRTUAL_NODE)]


def desired(**changes: Any) -> Desired:
    wanted = resource(**changes)
    images = {c: measured(reference) for c, reference in image_references(wanted).items()}
    return Desired(wanted, derive(wanted, images))


WANTED = desired()


def sent(of: Desired = WANTED) -> dict[str, Any]:
    """Return the objects as they stand when they were last sent for a resource, by kind."""
    children = copy.deepcopy(manifests(of.derivation.manifest, of.resource.metadata))
    for number, child in enumerate(children):
        child["metadata"] |= {"uid": f"child-{number}", "resourceVersion": "7"}
    return {child["kind"]: child for child in children}


def does(found: Plan) -> list[str]:
    return [f"{type(step).__name__} {step.manifest['kind']}" for step in found.steps]


def pod_spec(children: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = children["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_what_is_missing_is_created_and_the_address_before_the_pods() -> None:
    assert does(plan(WANTED, Live())) == ["Apply Service", "Apply PodDisruptionBudget", "Apply Deployment"]


def test_what_stands_as_it_was_sent_is_left_alone() -> None:
    assert plan(WANTED, Live(sent())) == Plan()


def test_another_spec_replaces_the_deployment_and_is_no_drift() -> None:
    found = plan(desired(resources={"cpu": "4"}), Live(sent()))
    assert (does(found), found.drift) == (["Replace Deployment"], ())


def add_init_container(children: dict[str, Any]) -> None:
    pod_spec(children)["initContainers"] = [{"name": "spy", "image": "spy"}]


def add_host_network(children: dict[str, Any]) -> None:
    pod_spec(children)["hostNetwork"] = True


def add_variable(children: dict[str, Any]) -> None:
    pod_spec(children)["containers"][0]["env"].append({"name": "EVIL", "value": "1"})


def add_container(children: dict[str, Any]) -> None:
    pod_spec(children)["containers"].append({"name": "spy", "image": "spy"})


def add_annotation(children: dict[str, Any]) -> None:
    children["Deployment"]["spec"]["template"]["metadata"]["annotations"][
        "microsoft.containerinstance.virtualnode.x"
    ] = "y"


def widen_selector(children: dict[str, Any]) -> None:
    del children["Service"]["spec"]["selector"]["app.kubernetes.io/managed-by"]


ADDITIONS = [add_init_container, add_host_network, add_variable, add_container, add_annotation, widen_selector]


@pytest.mark.parametrize("change", ADDITIONS)
async def test_whatever_somebody_adds_is_found_and_is_not_in_what_takes_its_place(change: Any) -> None:
    children = sent()
    change(children)
    target, wanted = VirtualNodeTarget(cluster(children)), WANTED
    live = await target.read(wanted.resource, wanted.derivation)
    found = target.plan(wanted, live, NOW)
    assert len(found.drift) == len(found.steps) == 1
    await target.execute(found)
    again = await target.read(wanted.resource, wanted.derivation)
    assert target.plan(wanted, again, NOW) == Plan()


@pytest.mark.parametrize("change", ADDITIONS)
async def test_it_is_only_reported_where_that_is_the_policy_however_often_it_is_looked_at(change: Any) -> None:
    wanted = desired(driftPolicy="Report")
    children = sent(wanted)
    change(children)
    kube = cluster(children)
    target = VirtualNodeTarget(kube)
    for _ in range(2):
        found = target.plan(wanted, await target.read(wanted.resource, wanted.derivation), NOW)
        assert (does(found), len(found.drift)) == ([], 1)
    assert kube.writes == []


def test_with_report_what_the_spec_changes_is_still_done() -> None:
    children = sent(desired(driftPolicy="Report"))
    add_variable(children)
    found = plan(desired(driftPolicy="Report", resources={"cpu": "4"}), Live(children))
    assert (does(found), found.drift) == (["Replace Deployment"], ())


def test_what_an_earlier_operator_sent_is_brought_up_to_date_and_is_no_drift() -> None:
    children = sent()
    del children["Deployment"]["metadata"]["annotations"][APPLIED_ANNOTATION]
    found = plan(desired(driftPolicy="Report"), Live(children))
    assert (does(found), found.drift) == (["Replace Deployment"], ())


async def test_a_restart_by_kubectl_is_an_order_and_no_drift() -> None:
    children = sent()
    template = children["Deployment"]["spec"]["template"]["metadata"]
    template["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-11-28T12:00:00Z"
    target = VirtualNodeTarget(cluster(children))
    assert target.plan(WANTED, await target.read(WANTED.resource, WANTED.derivation), NOW) == Plan()


async def test_a_settled_resource_is_compared_without_asking_the_server_again() -> None:
    asked: list[str] = []

    class Counting(FakeKube):
        async def replace(self, document: Any, *, dry_run: bool = False) -> Any:
            asked.append(document["kind"])
            return await super().replace(document, dry_run=dry_run)

    kube = Counting()
    for child in sent().values():
        kube.put(child)
    target = VirtualNodeTarget(kube)
    for _ in range(3):
        await target.read(WANTED.resource, WANTED.derivation)
    assert sorted(asked) == ["Deployment", "PodDisruptionBudget", "Service"]


def test_labels_and_owners_that_others_have_added_stay() -> None:
    children = sent()
    meta = children["Deployment"]["metadata"]
    meta["labels"]["team"] = "legal"
    meta["ownerReferences"].append({"kind": "Application", "name": "x", "uid": "other"})
    (step,) = plan(desired(resources={"cpu": "4"}), Live(children)).steps
    assert step.manifest["metadata"]["labels"]["team"] == "legal"
    assert [owner["uid"] for owner in step.manifest["metadata"]["ownerReferences"]] == ["uid-1", "other"]
    assert step.manifest["metadata"]["uid"] == meta["uid"]


def test_steps_are_told_by_what_they_do_and_to_which_object() -> None:
    assert [str(step) for step in plan(WANTED, Live()).steps] == [
        "applies Service contracts",
        "applies PodDisruptionBudget contracts",
        "applies Deployment contracts",
    ]
    larger = desired(resources={"cpu": "4"})
    assert [str(step) for step in plan(larger, Live(sent())).steps] == ["updates Deployment contracts"]


def test_what_takes_an_object_s_place_keeps_what_decides_nothing_and_is_ours_otherwise() -> None:
    found, manifest = sent()["Deployment"], WANTED.derivation.manifest
    before = copy.deepcopy(manifest)
    found["metadata"] |= {
        "finalizers": ["example.org/keep"],
        "annotations": {"note": "theirs", APPLIED_ANNOTATION: "x"},
    }
    found["metadata"]["labels"] = {"team": "legal", "app.kubernetes.io/managed-by": "somebody"}
    found["spec"]["template"]["metadata"]["annotations"] = {RESTARTED: "2026-11-28T12:00:00Z", "theirs": "x"}

    put = replacement(manifest, found)

    assert put["metadata"] == {
        **before["metadata"],
        "labels": {"team": "legal", **before["metadata"]["labels"]},
        "annotations": {"note": "theirs", **before["metadata"]["annotations"]},
        "uid": found["metadata"]["uid"],
        "finalizers": ["example.org/keep"],
    }
    template = put["spec"]["template"]["metadata"]["annotations"]
    assert template == {**before["spec"]["template"]["metadata"]["annotations"], RESTARTED: "2026-11-28T12:00:00Z"}
    assert manifest == before


def test_an_object_without_labels_annotations_and_owners_is_taken_the_place_of_as_well() -> None:
    found, manifest = sent()["Deployment"], WANTED.derivation.manifest
    for key in ("labels", "annotations", "ownerReferences"):
        found["metadata"][key] = None
    del found["spec"]["template"]["metadata"]["annotations"]
    assert replacement(manifest, found)["metadata"] == {**manifest["metadata"], "uid": found["metadata"]["uid"]}


def test_only_a_disruption_budget_is_replaced_in_the_version_that_was_read() -> None:
    children = sent()
    for manifest in manifests(WANTED.derivation.manifest, WANTED.resource.metadata):
        put = replacement(manifest, children[manifest["kind"]])
        assert put["metadata"].get("resourceVersion") == ("7" if manifest["kind"] == "PodDisruptionBudget" else None)


def test_an_object_that_is_let_go_keeps_its_other_owners() -> None:
    found = sent()["Deployment"]
    other = {"kind": "Application", "name": "x", "uid": "other"}
    found["metadata"]["ownerReferences"].append(other)
    patch = {"metadata": {"uid": found["metadata"]["uid"], "ownerReferences": [other]}}
    assert release(found, WANTED.resource.metadata) == patch
    found["metadata"]["ownerReferences"] = None
    assert release(found, WANTED.resource.metadata)["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize(
    ("place", "value", "found"),
    [
        (["metadata", "labels", "app.kubernetes.io/managed-by"], "x", ["metadata.labels.app.kubernetes.io/managed-by"]),
        (["metadata", "annotations", "note"], "x", ["metadata.annotations.note"]),
        (["metadata", "ownerReferences"], [], ["metadata.ownerReferences[contracts]"]),
        (["spec", "replicas"], 9, ["spec.replicas"]),
        (["metadata", "finalizers"], ["x"], []),
        (["metadata", "generation"], 9, []),
        (["status"], {"replicas": 9}, []),
    ],
)
def test_a_change_is_what_somebody_changed_and_not_what_controllers_write(
    place: list[str], value: object, found: list[str]
) -> None:
    wanted, changed = sent()["Deployment"], sent()["Deployment"]
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    assert changes(wanted, changed) == found


def test_drift_is_told_with_the_kind_of_its_object_in_one_order() -> None:
    children = sent()
    children["Deployment"]["spec"]["replicas"] = 9
    children["Service"]["spec"]["type"] = "LoadBalancer"
    found = plan(WANTED, Live(children, {kind: sent()[kind] for kind in children}))
    assert found.drift == ("Deployment: spec.replicas", "Service: spec.type")
    assert does(found) == ["Replace Service", "Replace Deployment"]


def test_a_deployment_of_somebody_else_is_not_taken_over() -> None:
    children = sent()
    children["Deployment"]["metadata"]["ownerReferences"] = []
    with pytest.raises(NameTaken, match="Deployment legal/contracts exists and is not of"):
        plan(WANTED, Live(children))


def test_an_admin_s_own_service_of_that_name_keeps_nothing_else_from_being_made() -> None:
    theirs = sent()["Service"]
    theirs["metadata"]["ownerReferences"] = []
    found = plan(WANTED, Live({"Service": theirs}))
    assert does(found) == ["Apply PodDisruptionBudget", "Apply Deployment"]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
async def test_an_admin_s_own_service_or_budget_of_that_name_stays_as_it_is(kind: str) -> None:
    children = sent()
    children[kind]["metadata"]["ownerReferences"] = []
    children[kind]["spec"] = {"theirs": True}
    kube = cluster(children)
    target = VirtualNodeTarget(kube)
    assert target.plan(WANTED, await target.read(WANTED.resource, WANTED.derivation), NOW) == Plan()
    await target.remove(WANTED.resource.metadata, HERE, orphan=False)
    assert list(children_in(kube)) == [kind]


def test_the_rollout_goes_on_until_every_pod_is_of_the_newest_template() -> None:
    children = sent()
    children["Deployment"]["metadata"]["generation"] = 2
    children["Deployment"]["status"] = {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1}
    assert "has not seen its last change" in plan(WANTED, Live(children)).waits
    children["Deployment"]["status"] = {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 2}
    assert "1 of 1 pods are of the newest template, 2 exist" in plan(WANTED, Live(children)).waits
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    children["Deployment"]["status"]["conditions"] = late
    assert "takes longer than it should" in plan(WANTED, Live(children)).waits
    children["Deployment"]["status"]["replicas"] = 1
    assert plan(WANTED, Live(children)).waits == ""


def cluster(children: dict[str, Any], *pods: dict[str, Any]) -> FakeKube:
    kube = FakeKube()
    for child in [*children.values(), *pods]:
        kube.put(child)
    return kube


def children_in(kube: FakeKube) -> dict[str, Any]:
    return {kind: child for (kind, namespace, _), child in kube.objects.items() if namespace == "legal"}


def pod(name: str, *, phase: str = "Running", ready: bool = True, **meta: Any) -> dict[str, Any]:
    labels = WANTED.derivation.manifest["metadata"]["labels"]
    owner = {"kind": "ReplicaSet", "name": "contracts-1", "uid": "rs", "controller": True}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "legal", "uid": name, "labels": labels, "ownerReferences": [owner], **meta},
        "spec": {"nodeName": "virtualnode-0"},
        "status": {"phase": phase, "message": "The node was low on resource: memory.", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }  # fmt: skip


async def observed(kube: FakeKube) -> Any:
    target = VirtualNodeTarget(kube)
    return await target.observe(WANTED.resource, await target.read(WANTED.resource), "")


async def test_an_evicted_pod_that_was_replaced_does_not_make_a_healthy_resource_fail() -> None:
    observation = await observed(cluster(sent(), pod("evicted", phase="Failed", ready=False), pod("healthy")))
    assert [(g.name, g.phase) for g in observation.groups] == [("healthy", GroupPhase.READY)]
    assert observation.rolled_out
    assert "1 pods are over" in observation.remarks[0]


async def test_a_pod_that_failed_and_has_no_successor_yet_says_why() -> None:
    observation = await observed(cluster(sent(), pod("evicted", phase="Failed", ready=False)))
    assert [(g.phase, g.message) for g in observation.failed] == [
        (GroupPhase.FAILED, "The node was low on resource: memory.")
    ]


async def test_a_pod_that_somebody_else_gave_our_labels_is_no_group_of_ours() -> None:
    stray = pod("stray")
    stray["metadata"]["ownerReferences"] = []
    assert (await observed(cluster(sent(), stray))).groups == []


async def test_pods_that_cannot_be_created_are_told_in_the_words_of_the_deployment() -> None:
    children = sent()
    message = 'pods "contracts-1-x" is forbidden: violates PodSecurity "restricted:latest": privileged'
    children["Deployment"]["status"] = {
        "conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]
    }
    assert message in (await observed(cluster(children))).blocked


async def test_the_oldest_pod_comes_first_so_that_its_address_outlives_scaling() -> None:
    young = pod("a-young", creationTimestamp="2026-11-28T12:05:00Z")
    old = pod("b-old", creationTimestamp="2026-11-28T12:00:00Z")
    assert [group.name for group in (await observed(cluster(sent(), young, old))).groups] == ["b-old", "a-young"]


async def test_removal_waits_for_the_pods_and_says_where_they_hang() -> None:
    kube = cluster(sent(), pod("stuck", deletionTimestamp="2026-11-28T11:00:00Z"))
    removal = await VirtualNodeTarget(kube).remove(WANTED.resource.metadata, HERE, orphan=False)
    assert removal.left == ("stuck",)
    assert "on virtualnode-0 is going away since 2026-11-28T11:00:00Z" in removal.cause
    assert "--force" in removal.cause
    del kube.objects["Pod", "legal", "stuck"]
    assert await VirtualNodeTarget(kube).remove(WANTED.resource.metadata, HERE, orphan=False) == Removal()
    assert children_in(kube) == {}


async def test_what_is_retained_runs_on_and_no_longer_goes_with_its_resource() -> None:
    kube = cluster(sent())
    assert await VirtualNodeTarget(kube).remove(WANTED.resource.metadata, HERE, orphan=True) == Removal()
    assert {kind: child["metadata"]["ownerReferences"] for kind, child in children_in(kube).items()} == {
        "Deployment": [],
        "Service": [],
        "PodDisruptionBudget": [],
    }
