"""The chart: what helm makes of it, and what a real API server makes of that."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from azure_sandbox.control_plane import ControlPlane
from tests.support.helm import CHART, ROOT, Helm
from tests.support.kubectl import Kubectl
from tests.support.resources import grant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
IMAGE = {"image": {"repository": "party1.azurecr.io:443/confidential-summarizer"}}
EVERYTHING = {
    **IMAGE,
    "replicas": 3,
    "watchNamespaces": ["legal"],
    "grants": [{"name": "legal", **grant("legal")["spec"]}],
    "cache": {"existingClaim": "layers"},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "extraEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
    },
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "authorities", "configMap": {"name": "authorities"}}],
    "extraVolumeMounts": [{"name": "authorities", "mountPath": "/etc/authorities"}],
    "priorityClassName": "system-cluster-critical",
    "podAnnotations": {"a": "b"},
}


@pytest.mark.parametrize("values", [IMAGE, EVERYTHING, {"replicas": 0}], ids=["defaults", "everything", "rights alone"])
def test_the_chart_is_sound(helm: Helm, values: dict[str, Any]) -> None:
    result = helm.run("lint", "--strict", values=values)
    assert result.returncode == 0, result.stdout
    assert helm.objects(**values)


def test_every_value_is_in_the_schema_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() | {"global"} == SCHEMA["properties"].keys()
    for name, value in values.items():
        properties = SCHEMA["properties"][name].get("properties")
        if properties is not None:
            assert value.keys() == properties.keys(), name


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 1},
        {"networkPolicy": {"enable": False}},
        {"cache": {"size": "lots"}},
        {"grants": [{"name": "legal"}]},
        {"grants": [{"name": "legal", "namespaces": {"names": ["legal"]}, "vault": []}]},
        {"extraVolumes": [{"configMap": {}}]},
        {"image": {"repository": "party1.azurecr.io:443/confidential-summarizer:v1"}},
        {"serviceAccount": {"clientID": "CLIENT-ID"}},
        {"watchNamespaces": ["Legal"]},
    ],
)
def test_a_misspelt_value_is_refused(helm: Helm, values: dict[str, Any]) -> None:
    assert helm.run("template", "csum", values=IMAGE | values).returncode != 0


def test_nobody_gets_to_write_grants_or_to_create_resources_by_aggregation(helm: Helm) -> None:
    for (kind, _), role in helm.objects(**EVERYTHING).items():
        if kind not in ("Role", "ClusterRole"):
            continue
        for rule in role["rules"]:
            if "summarizergrants" in rule["resources"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}
                assert not any("aggregate" in label for label in role["metadata"]["labels"])
            if "create" in rule["verbs"] and "confidentialsummarizers" in rule["resources"]:
                assert "rbac.authorization.k8s.io/aggregate-to-edit" not in role["metadata"]["labels"]


def test_the_operator_has_bounds_and_reaches_no_node_identity(helm: Helm) -> None:
    objects = helm.objects(**IMAGE)
    pod = objects["Deployment", "csum"]["spec"]["template"]["spec"]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"])
    assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"
    (_, out) = objects["NetworkPolicy", "csum"]["spec"]["egress"]
    assert {port["port"] for port in out["ports"]} == {443, 6443, 8501}
    assert out["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16", "168.63.129.16/32"]


def test_proxy_authorities_and_a_claim_are_where_they_were_asked_for(helm: Helm) -> None:
    objects = helm.objects(**EVERYTHING)
    pod = objects["Deployment", "csum"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    assert {"name": "authorities", "mountPath": "/etc/authorities"} in container["volumeMounts"]
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "layers"}} in pod["volumes"]
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert objects["PodDisruptionBudget", "csum"]["spec"]["maxUnavailable"] == 1
    assert len(objects["NetworkPolicy", "csum"]["spec"]["egress"]) == 3


def test_the_kustomize_base_is_the_chart(helm: Helm) -> None:
    base = list(yaml.safe_load_all((ROOT / "deploy/base/operator.yaml").read_text()))
    rendered = subprocess.run(
        ["make", "-s", "manifests", "MANIFESTS=/dev/stdout"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert base == list(yaml.safe_load_all(rendered.stdout)), "run `make manifests`"


@pytest.fixture(scope="module")
def cluster(helm: Helm) -> Iterator[Kubectl]:
    plane = ControlPlane(helm.state)
    try:
        plane.up(lambda _: None)
        yield Kubectl(helm.state)
    finally:
        plane.down()


def grants(cluster: Kubectl) -> dict[str, list[str]]:
    found = json.loads(cluster("get", "summarizergrants", "-o", "json"))["items"]
    return {g["metadata"]["name"]: g["spec"]["namespaces"]["names"] for g in found}


def test_grants_come_with_the_first_release_and_follow_the_next_ones(helm: Helm, cluster: Kubectl) -> None:
    def release(*lists: dict[str, Any]) -> None:
        result = helm.run("upgrade", "--install", "csum", "--create-namespace", values={"replicas": 0, "grants": lists})
        assert result.returncode == 0, result.stderr

    legal = {"name": "legal", **grant("legal")["spec"]}
    release(legal)
    assert grants(cluster) == {"legal": ["legal"]}
    release(legal | {"namespaces": {"names": ["legal", "sales"]}}, {"name": "hr", **grant("hr")["spec"]})
    assert grants(cluster) == {"legal": ["legal", "sales"], "hr": ["hr"]}
    release({"name": "hr", **grant("hr")["spec"]})
    assert grants(cluster) == {"hr": ["hr"]}


def test_the_server_takes_everything_and_kustomize_an_overlay(helm: Helm, cluster: Kubectl) -> None:
    cluster("create", "namespace", "legal")
    cluster("create", "namespace", "confidential-summarizer")
    result = helm.run("template", "csum", values=EVERYTHING)
    objects = "\n---\n".join(
        yaml.safe_dump(d) for d in yaml.safe_load_all(result.stdout) if d and d["kind"] != "SummarizerGrant"
    )
    dry_run = ("apply", "--server-side", "--force-conflicts", "--dry-run=server")
    for source, text in ((("-f", "-"), objects), (("-k", str(ROOT / "deploy" / "base")), None)):
        applied = cluster.run(*dry_run, *source, text=text, check=False)
        assert applied.returncode == 0, applied.stderr
