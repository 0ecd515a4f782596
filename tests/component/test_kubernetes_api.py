"""The CRD and our client against a real API server: what it refuses, what it keeps, what an unchanged apply costs."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox.control_plane import ControlPlane
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import FIELD_MANAGER
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import AccessDenied, SpecError, SummarizerError, TransientError, WaitingError
from confidential_summarizer.kube import CONFIG_MAP, GRANT, POD_DISRUPTION_BUDGET, SUMMARIZER
from confidential_summarizer.kube.client import KubernetesClient, connect
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.target import Desired, Plan, Removal
from confidential_summarizer.targets.virtual_node.planning import release
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget
from tests.support.fakes import measured
from tests.support.kubectl import Kubectl
from tests.support.resources import document, grant
from tests.unit.targets.test_batch import DOCUMENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests/data/api/refused.yaml").read_text())


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        plane = ControlPlane(state)
        try:
            plane.up(lambda _: None)
            kubectl = Kubectl(state)
            kubectl("apply", "-f", str(ROOT / "crds"))
            kubectl("wait", "--for=condition=Established", "crd", "--all")
            kubectl("create", "namespace", "legal")
            yield kubectl
        finally:
            plane.down()


@pytest.fixture
async def client(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesClient]:
    monkeypatch.setenv("KUBECONFIG", str(kubectl.state.kubeconfig))
    async with connect() as client:
        yield client


def applied(**changes: Any) -> dict[str, Any]:
    """Return a resource as a person applies it: without what the API server fills in."""
    given = document(**changes)
    del given["status"]
    given["metadata"] = {"name": given["metadata"]["name"], "namespace": "legal"}
    return given


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
async def test_the_server_refuses_what_can_never_work_with_what_to_do(client: KubernetesClient, case: dict) -> None:
    with pytest.raises(SpecError) as refusal:
        await client.apply(applied(**case["change"]))
    assert case["message"] in str(refusal.value)


@pytest.mark.parametrize("name", ["contracts.v2", "n" * 64, "1st"])
async def test_the_server_refuses_a_name_that_nothing_could_be_deployed_under(
    client: KubernetesClient, name: str
) -> None:
    given = applied()
    given["metadata"]["name"] = name
    with pytest.raises(SpecError, match=r"metadata\.name must have at most 63"):
        await client.apply(given)


async def test_a_fresh_resource_is_not_current_and_the_target_cannot_change_kind(client: KubernetesClient) -> None:
    created = await client.apply(applied())
    assert created["status"] == {"observedGeneration": -1, "replicas": 0, "readyReplicas": 0}
    group = {"subscriptionID": "0" * 36, "resourceGroup": "rg", "location": "westeurope"}
    with pytest.raises(SpecError, match="the target cannot change"):
        await client.apply(applied(target={"containerGroup": group}))


async def test_a_status_patch_touches_nothing_but_the_status(client: KubernetesClient) -> None:
    created = await client.apply(applied())
    await client.patch_status(SUMMARIZER, "legal", "contracts", {"endpoint": "https://10.0.0.1:8501"})
    patched = await client.get(SUMMARIZER, "legal", "contracts")
    assert patched is not None
    assert patched["status"]["endpoint"] == "https://10.0.0.1:8501"
    assert patched["spec"] == created["spec"]
    assert patched["metadata"]["generation"] == created["metadata"]["generation"]


async def test_an_unchanged_apply_changes_nothing_and_is_ours(client: KubernetesClient) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "legal"},
        "data": {"a": "1"},
    }
    first = await client.apply(config)
    second = await client.apply(config)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert [m["manager"] for m in second["metadata"]["managedFields"]] == [FIELD_MANAGER]


class Deployed:
    """A resource in a namespace of its own, and what its target does for it."""

    def __init__(self, kubectl: Kubectl, client: KubernetesClient, namespace: str) -> None:
        self.kubectl, self.target, self.namespace = kubectl, VirtualNodeTarget(client), namespace

    async def step(self, **changes: Any) -> Plan:
        """Do what one reconcile does: read, plan, execute."""
        given = applied(**changes)
        given["metadata"]["namespace"] = self.namespace
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump(given))
        self.resource = ConfidentialSummarizer.parse(self.kubectl.get("-n", self.namespace, "csum", "contracts"))
        images = {name: measured(reference) for name, reference in image_references(self.resource).items()}
        wanted = Desired(self.resource, derive(self.resource, images))
        plan = self.target.plan(wanted, await self.target.read(self.resource, wanted.derivation), datetime.now(UTC))
        await self.target.execute(plan)
        return plan

    def deployment(self) -> Any:
        return self.kubectl.get("-n", self.namespace, "deployment", "contracts")

    def patch(self, kind: str, content: Any) -> None:
        self.kubectl("-n", self.namespace, "patch", kind, "contracts", "--type=json", "-p", json.dumps(content))


@pytest.fixture
def deployed(kubectl: Kubectl, client: KubernetesClient, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    namespace = f"n{abs(hash(request.node.name)) % 10**8}"
    kubectl("create", "namespace", namespace)
    yield Deployed(kubectl, client, namespace)
    kubectl("delete", "namespace", namespace, "--wait=false")


async def test_what_the_server_fills_into_our_objects_is_no_drift(deployed: Deployed) -> None:
    size = {"cpu": "0.5", "memory": "2000M"}
    assert len((await deployed.step(resources=size)).steps) == 3
    again = await deployed.step(resources=size)
    assert (again.steps, again.drift) == ((), ())
    before = deployed.deployment()["metadata"]["generation"]
    assert [str(step) for step in (await deployed.step(resources={"cpu": "1"})).steps] == [
        "updates Deployment contracts"
    ]
    assert deployed.deployment()["metadata"]["generation"] == before + 1


ADDITIONS = {
    "init container": ["/spec/template/spec/initContainers", [{"name": "spy", "image": "spy"}]],
    "host network": ["/spec/template/spec/hostNetwork", True],
    "variable": ["/spec/template/spec/containers/0/env/-", {"name": "EVIL", "value": "1"}],
    "container": ["/spec/template/spec/containers/-", {"name": "spy", "image": "spy"}],
    "toleration": ["/spec/template/spec/tolerations/-", {"operator": "Exists"}],
    "replicas": ["/spec/replicas", 7],
}


@pytest.mark.parametrize("addition", ADDITIONS)
async def test_what_somebody_adds_to_the_deployment_is_found_and_taken_out_again(
    deployed: Deployed, addition: str
) -> None:
    await deployed.step()
    before = deployed.deployment()["spec"]
    path, value = ADDITIONS[addition]
    deployed.patch("deployment", [{"op": "add", "path": path, "value": value}])

    plan = await deployed.step()

    assert plan.drift
    assert deployed.deployment()["spec"] == before
    assert (await deployed.step()).drift == ()


async def test_what_somebody_adds_is_only_reported_where_that_is_the_policy(deployed: Deployed) -> None:
    await deployed.step(driftPolicy="Report")
    deployed.kubectl("-n", deployed.namespace, "set", "env", "deployment/contracts", "EVIL=1")
    drifted = deployed.deployment()["spec"]
    for _ in range(2):
        plan = await deployed.step(driftPolicy="Report")
        assert len(plan.drift) == len(drifted["template"]["spec"]["containers"])
        assert all("env[EVIL]" in path for path in plan.drift)
    assert deployed.deployment()["spec"] == drifted


async def test_a_restart_by_kubectl_is_left_alone(deployed: Deployed) -> None:
    await deployed.step()
    deployed.kubectl("-n", deployed.namespace, "rollout", "restart", "deployment/contracts")
    assert (await deployed.step()).steps == ()


async def test_pods_that_pod_security_refuses_are_told_in_its_words(deployed: Deployed) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    deployed.kubectl("label", "namespace", deployed.namespace, label)
    await deployed.step()

    def refused() -> bool:
        conditions = deployed.deployment()["status"].get("conditions", ())
        return any(condition["type"] == "ReplicaFailure" for condition in conditions)

    deployed.kubectl.eventually(refused, "the ReplicaSet says that it can make no pod")
    live = await deployed.target.read(deployed.resource)
    assert "violates PodSecurity" in (await deployed.target.observe(deployed.resource, live, "")).blocked


async def test_what_is_retained_outlives_its_resource(deployed: Deployed) -> None:
    await deployed.step(deletionPolicy="Retain")
    removal = await deployed.target.remove(deployed.resource.metadata, deployed.resource.placements, orphan=True)
    assert removal == Removal()
    deployed.kubectl("-n", deployed.namespace, "delete", "csum", "contracts")
    await asyncio.sleep(2)  # what the garbage collector needs for what has an owner
    found = deployed.kubectl("-n", deployed.namespace, "get", "deployment,service,poddisruptionbudget", "-o", "name")
    assert len(found.split()) == 3


async def test_what_is_retained_is_let_go_while_others_write_it_and_a_namesake_is_not(deployed: Deployed) -> None:
    await deployed.step(deletionPolicy="Retain")
    kube, metadata = deployed.target.kube, deployed.resource.metadata
    found = await kube.get(POD_DISRUPTION_BUDGET, metadata.namespace, metadata.name)
    assert found is not None
    await kube.merge(
        POD_DISRUPTION_BUDGET, metadata.namespace, metadata.name, {"metadata": {"labels": {"touched": "since"}}}
    )
    await kube.merge(POD_DISRUPTION_BUDGET, metadata.namespace, metadata.name, release(found, metadata))
    later = await kube.get(POD_DISRUPTION_BUDGET, metadata.namespace, metadata.name)
    assert later is not None
    assert "ownerReferences" not in later["metadata"]
    another = {**found, "metadata": {**found["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    with pytest.raises(SummarizerError, match=r"uid|UID"):
        await kube.merge(POD_DISRUPTION_BUDGET, metadata.namespace, metadata.name, release(another, metadata))


async def test_a_resource_that_is_removed_leaves_nothing(deployed: Deployed) -> None:
    await deployed.step()
    kubectl, metadata = deployed.kubectl, deployed.resource.metadata
    for _ in range(100):
        if not (await deployed.target.remove(metadata, deployed.resource.placements, orphan=False)).left:
            break
        await asyncio.sleep(0.2)
    kinds = "deployment,replicaset,pod,poddisruptionbudget,service"
    assert kubectl("-n", deployed.namespace, "get", kinds, "-o", "name") == ""


BATCH = {"replicas": None, "fileSystems": DOCUMENTS}


async def test_a_server_cannot_become_a_batch(client: KubernetesClient) -> None:
    await client.apply(applied())
    with pytest.raises(SpecError, match="a server cannot become a batch"):
        await client.apply(applied(**BATCH, batch={"shards": 2}))


async def test_a_batch_is_a_job_that_changes_where_it_can_and_is_another_one_where_not(deployed: Deployed) -> None:
    def job() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            deployed.kubectl("-n", deployed.namespace, "get", "job", "contracts", "-o", "json")
        )
        return found

    async def step(**batch: Any) -> Plan:
        return await deployed.step(**BATCH, batch={"shards": 3, "parallelism": 1, **batch})

    await step()
    made = job()
    again = await step()
    assert (again.steps, again.drift) == ((), ())
    assert (await step(parallelism=2)).drift == ()
    assert (job()["metadata"]["uid"], job()["spec"]["parallelism"]) == (made["metadata"]["uid"], 2)

    deployed.patch("job", [{"op": "replace", "path": "/spec/suspend", "value": True}])
    assert "Job: spec.suspend" in (await step(parallelism=2)).drift
    assert job()["spec"]["suspend"] is False
    assert (await step(parallelism=2)).drift == ()

    for _ in range(100):
        if not (plan := await step(parallelism=2, backoffLimit=5)).steps and not plan.waits:
            break
        await asyncio.sleep(0.2)
    assert job()["metadata"]["uid"] != made["metadata"]["uid"]
    assert job()["spec"]["backoffLimitPerIndex"] == 5

    # The Job's controller leaves our variable alone, so the policy that was made of the manifest knows all there is.
    def pods() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = deployed.kubectl.get("-n", deployed.namespace, "pods")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    deployed.kubectl.eventually(lambda: bool(pods()), "the new Job makes pods")
    sent = made["spec"]["template"]["spec"]["containers"]
    assert [c["env"] for c in pods()[0]["spec"]["containers"]] == [c["env"] for c in sent]


async def test_what_a_quota_refuses_is_no_missing_right_of_the_operator(
    kubectl: Kubectl, client: KubernetesClient
) -> None:
    kubectl("create", "namespace", "full")
    kubectl("-n", "full", "create", "quota", "none", "--hard=count/configmaps=0")
    with pytest.raises(WaitingError, match=r"ConfigMap full/a: .* refuses it: .*quota") as refused:
        await client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "full"}})
    assert not isinstance(refused.value, AccessDenied)


async def test_missing_objects_are_none_and_deleting_them_is_no_error(client: KubernetesClient) -> None:
    assert await client.get(CONFIG_MAP, "legal", "missing") is None
    await client.delete(CONFIG_MAP, "legal", "missing")


async def test_a_deletion_by_uid_spares_another_object_of_the_same_name(client: KubernetesClient) -> None:
    await client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "spared", "namespace": "legal"}})
    with pytest.raises(TransientError, match="409"):
        await client.delete(CONFIG_MAP, "legal", "spared", uid="11111111-2222-4333-8444-555555555555")
    found = await client.get(CONFIG_MAP, "legal", "spared")
    assert found is not None
    await client.delete(CONFIG_MAP, "legal", "spared", uid=found["metadata"]["uid"])


def test_every_field_explains_itself(kubectl: Kubectl) -> None:
    # The server publishes a new CRD's schema some seconds after it has established the CRD.
    explain = ("explain", "confidentialsummarizer.spec")
    kubectl.eventually(lambda: kubectl.run(*explain, check=False).returncode == 0, "kubectl explain knows the CRD")
    text = kubectl(*explain)
    assert "<no description>" not in text
    assert "Sealed file systems, each with its own key" in text


def test_scaling_works_like_for_any_other_workload(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", text=yaml.safe_dump(applied(replicas=1)))
    kubectl("-n", "legal", "scale", "csum/contracts", "--replicas=2")
    assert kubectl("-n", "legal", "get", "csum", "contracts", "-o", "jsonpath={.spec.replicas}") == "2"


async def test_grants_are_read_from_outside_of_every_namespace(kubectl: Kubectl, client: KubernetesClient) -> None:
    kubectl.apply(grant("legal"))
    kubectl.apply(yaml.safe_load((ROOT / "examples/grant.yaml").read_text()) | {"metadata": {"name": "example"}})
    found = {g["metadata"]["name"]: g["spec"] for g in await client.list(GRANT, "")}
    assert found.keys() == {"legal", "example"}
    assert found["legal"]["vaults"][0]["keys"] == ["*"]
    header, row = kubectl("get", "csumgrant", "legal").splitlines()
    assert header.split() == ["NAME", "NAMESPACES", "LABELS", "VAULTS", "AGE"]
    assert '["legal"]' in row
    assert "party2.managedhsm.azure.net" in row
    assert "Names of keys" in kubectl("explain", "summarizergrant.spec.vaults.keys")


@pytest.mark.parametrize("namespaces", [{}, {"names": ["legal"], "matchLabels": {"team": "legal"}}, {"names": []}])
def test_a_grant_says_in_one_way_whom_it_is_for(kubectl: Kubectl, namespaces: dict[str, Any]) -> None:
    given = json.dumps(grant("refused", namespaces=namespaces))
    refused = kubectl.run("apply", "--server-side", "-f", "-", text=given, check=False)
    assert refused.returncode != 0
    assert "exactly one of names and matchLabels" in refused.stderr
