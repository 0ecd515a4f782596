"""The CRD and our client against a real API server: what it refuses, what it keeps, what an unchanged apply costs."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox.control_plane import ControlPlane
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import FIELD_MANAGER
from confidential_summarizer.errors import SpecError, TransientError
from confidential_summarizer.kube import CONFIG_MAP, DEPLOYMENT, GRANT, SUMMARIZER
from confidential_summarizer.kube.client import KubernetesClient, connect
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.drift import differences
from tests.support.fakes import measured
from tests.support.kubectl import Kubectl
from tests.support.resources import IMAGE, document, grant, resource

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


async def test_what_the_server_fills_into_our_deployment_is_no_drift(client: KubernetesClient) -> None:
    await client.apply(applied())
    owner = await client.get(SUMMARIZER, "legal", "contracts")
    assert owner is not None
    given = resource(resources={"cpu": "0.5", "memory": "2000M"})
    images = {
        name: measured(IMAGE if name == "summarizer" else f"mcr.io/{name}:1")
        for name in ("summarizer", "encrypted-file-systems", "key-release")
    }
    manifest = dict(derive(given, images).manifest)
    manifest["metadata"]["ownerReferences"][0]["uid"] = owner["metadata"]["uid"]
    await client.apply(manifest)
    live = await client.get(DEPLOYMENT, "legal", "contracts")
    assert list(differences(manifest, live)) == []


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
