import pytest

from confidential_summarizer.errors import PolicyError
from confidential_summarizer.policy.manifests import read_documents, workloads, write_documents
from confidential_summarizer.policy.virtual_node import POLICY_ANNOTATION

DEPLOYMENT = """\
# who owns this
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app   # its name
spec:
  template:
    metadata:
      labels: {app: demo}
    spec:
      containers:
      - name: app
        image: "x.io/app:1"  # quoted
        command: ['/app']
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data:
  # a comment in the data
  key: |
    two
    lines
"""
CRON = """\
kind: CronJob
metadata: {name: c}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: b}]}}}}}
"""


def test_a_policy_is_put_in_and_nothing_else_changes() -> None:
    documents = read_documents(DEPLOYMENT)
    (workload,) = workloads(documents)
    assert (workload.name, workload.policy) == ("Deployment/app", "")
    workload.set_policy("cG9saWN5" * 500)
    written = write_documents(documents, DEPLOYMENT)
    added = [line for line in written.split("\n") if line not in DEPLOYMENT.split("\n")]
    assert [line.strip() for line in added] == ["annotations:", f"{POLICY_ANNOTATION}: {'cG9saWN5' * 500}"]
    assert "\n".join(line for line in written.split("\n") if line not in added) == DEPLOYMENT
    (again,) = workloads(read_documents(written))
    assert again.policy == "cG9saWN5" * 500


def test_indented_lists_stay_indented() -> None:
    text = (
        DEPLOYMENT.partition("---")[0]
        .replace("      - name", "        - name")
        .replace("        image", "          image")
    )
    text = text.replace("        command", "          command")
    assert write_documents(read_documents(text), text) == text


def test_the_pod_of_a_cron_job_is_found() -> None:
    (workload,) = workloads(read_documents(CRON))
    assert workload.pod["spec"]["containers"][0]["image"] == "b"


def test_lists_are_looked_into() -> None:
    text = "kind: List\nitems: [{kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: b}]}}, {kind: Service}]\n"
    assert [workload.name for workload in workloads(read_documents(text))] == ["Pod/p"]


def test_claims_of_a_stateful_set_belong_to_its_pod() -> None:
    text = "kind: StatefulSet\nmetadata: {name: s}\nspec: {volumeClaimTemplates: [{metadata: {name: v}}], template: {spec: {containers: [{name: a, image: b}]}}}\n"
    (workload,) = workloads(read_documents(text))
    assert workload.pod["volumeClaimTemplates"][0]["metadata"]["name"] == "v"


@pytest.mark.parametrize("text", ["a: [", "- 1", "kind: Deployment\nmetadata: {name: x}\nspec: {replicas: 1}\n"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        workloads(read_documents(text))
