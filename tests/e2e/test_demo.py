"""From kubectl apply to summaries, and the refusals on the way, on the whole sandbox."""

import base64
import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox import processes
from azure_sandbox.names import ATTESTATION, LOCATION, MODELS_KEY, RESOURCE_GROUP, SUBSCRIPTION, VAULT
from confidential_summarizer.api.names import ADOPT_KEY_ANNOTATION
from demo import operator_process
from demo.images import publish_operator
from demo.look_alike import look_alike
from tests.e2e.conftest import DOCUMENTS, GRANT, Cluster, summaries, texts

pytestmark = pytest.mark.e2e


def test_every_document_has_a_summary_made_from_sealed_text(cluster: Cluster) -> None:
    assert cluster.complete
    found = summaries(cluster)
    files = sorted(DOCUMENTS.glob("*.txt"))
    assert [s["document"] for s in found] == [f"Document {number}" for number in range(1, len(files) + 1)]
    for file, summary in zip(files, found, strict=True):
        text = " ".join(file.read_text().split())
        # The demo model begins with a name that it copies, so its summary proves which text it has read.
        assert " ".join(summary["summary"].split()[:2]) in text
        assert summary["guard"]["verdict"] == "Passed"


def test_kubectl_shows_where_it_stands(cluster: Cluster) -> None:
    header, row = cluster.kubectl("get", "csum", "contracts").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "REPLICAS", "DOCUMENTS", "POLICY", "ENDPOINT", "AGE"]
    name, ready, reason, replicas, policy, endpoint, _ = row.split()
    assert (name, ready, reason, replicas) == ("contracts", "True", "Ready", "1")
    assert re.fullmatch(r"[0-9a-f]{12}", policy)
    assert endpoint.startswith("https://127.77.")
    assert "FailedToUpdateEndpoint" not in cluster.kubectl("get", "events")


def test_the_group_s_evidence_was_checked(cluster: Cluster) -> None:
    status = cluster.get("csum", "contracts")["status"]
    assert status["trust"]["attestation"]["claims"]["x-ms-sevsnpvm-hostdata"] == status["trust"]["hostData"]


def test_the_data_owner_verifies_the_group_without_the_cluster(cluster: Cluster) -> None:
    endpoint = cluster.get("csum", "contracts")["status"]["endpoint"]
    result = cluster.demo.owner("csum", "verify", endpoint, "--resource", cluster.home / "demo" / "contracts.yaml")
    assert result.returncode == 0


def test_a_page_that_passes_on_the_group_s_evidence_gets_nothing_of_a_reader(cluster: Cluster) -> None:
    status = cluster.get("csum", "contracts")["status"]
    with look_alike(status["endpoint"]) as forged:
        refused = cluster.demo.reader(forged, status["trust"]["hostData"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "somebody stands between" in refused.stderr


def test_nothing_that_runs_as_the_summarizers_user_can_look_into_it(cluster: Cluster) -> None:
    """Neither into the process that serves nor, from the first instruction, into one that parses a document."""
    for folder in serving(cluster):
        assert (folder / "mem").stat().st_uid == 0, "the kernel gives what may be looked into to its user"
        assert (folder / "exe").stat().st_mode & 0o777 == 0o711


def test_where_it_runs_lies_no_shell_no_package_manager_and_no_other_program_than_python(cluster: Cluster) -> None:
    root = serving(cluster)[0] / "root"
    programs, raised = set(), set()
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if (here / name).lstat().st_dev == root.stat().st_dev]  # no mounts
        for path in (here / name for name in files):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) or not mode & 0o111:
                continue
            with path.open("rb") as file:
                start = file.read(4)
            if (start == b"\x7fELF" and ".so" not in path.name) or (start[:2] == b"#!" and path.suffix != ".py"):
                programs.add(str(path.relative_to(root)))
            if mode & (stat.S_ISUID | stat.S_ISGID):
                raised.add(str(path.relative_to(root)))
    assert programs == {"usr/bin/python3.11"}
    assert not raised


def serving(cluster: Cluster) -> list[Path]:
    """The folders below /proc of this sandbox's summarizers, once they are no longer root."""
    containers = [folder for folder in Path("/proc").glob("[0-9]*") if b"\0summarizer\0" in command_line(folder)]
    ours = [folder for folder in containers if str(cluster.home).encode() in ancestry(folder)]
    found = [folder for folder in ours if "Uid:\t1000\t" in (folder / "status").read_text()]
    assert found
    return found


def command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def ancestry(folder: Path) -> bytes:
    """Return the command lines of the processes above one: the sandbox that started a group is among them."""
    parent = re.search(r"^PPid:\t(\d+)$", (folder / "status").read_text(), re.MULTILINE)
    above = Path("/proc") / parent[1] if parent is not None else folder
    return command_line(above) + ancestry(above) if above.name not in ("0", "1") else b""


def test_neither_text_nor_keys_are_anywhere_outside(cluster: Cluster) -> None:
    secrets = texts()
    for file in (cluster.home / "demo").glob("*.key"):
        key = file.read_bytes()
        if file.name == "contracts.key":  # the models' key is in a Secret of the cluster by design
            secrets |= {key, key.hex().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key).rstrip(b"=")}
    everything = cluster.everything().items()
    found = [(name, secret[:20]) for name, content in everything for secret in secrets if secret in content]
    assert found == []


def test_a_killed_operator_goes_on_where_it_was_without_a_second_group(cluster: Cluster) -> None:
    state = cluster.demo.state
    identity = processes.running(state, operator_process.NAME)
    assert identity is not None
    cluster.apply(
        cluster.resource(
            "contracts", summarizer={"models": ["bart-demo", "t5-demo"], "maxWords": 50, "showNames": True}
        )
    )
    os.kill(identity.pid, signal.SIGKILL)
    cluster.wait_for("the operator to be gone", lambda: processes.running(state, operator_process.NAME) is None)
    operator_process.start(state, "confidential-summarizer")
    message = cluster.wait_for_reason("AwaitingApproval")["message"]
    host_data = re.search(r"--expect-host-data ([0-9a-f]{64})", message)
    assert host_data is not None
    approve(cluster, "contracts-key", host_data[1])
    identity = processes.running(state, operator_process.NAME)
    assert identity is not None
    cluster.wait_for(
        "the rollout", lambda: len(cluster.get("pods")["items"]) > 1 or cluster.condition("Ready")["status"] == "True"
    )
    os.kill(identity.pid, signal.SIGKILL)
    cluster.wait_for("the operator to be gone", lambda: processes.running(state, operator_process.NAME) is None)
    operator_process.start(state, "confidential-summarizer")
    cluster.wait_for_reason("Ready")
    cluster.wait_for("the old group to be gone", lambda: len(cluster.groups()) == 1)


def approve(cluster: Cluster, key: str, host_data: str) -> None:
    cluster.demo.owner("csum", "key", "approve", "--name", key, "--vault", VAULT, "--host-data", host_data, "--yes")


@pytest.fixture
def reported(cluster: Cluster) -> Any:
    """Let the operator only report drift, so that a change by the host stays; afterwards it puts everything back."""
    cluster.wait_for_reason("Ready")
    cluster.kubectl("patch", "csum", "contracts", "--type=merge", "-p", '{"spec":{"driftPolicy":"Report"}}')
    cluster.wait_for_reason("Ready")
    yield
    cluster.kubectl("patch", "csum", "contracts", "--type=merge", "-p", '{"spec":{"driftPolicy":"Correct"}}')
    cluster.wait_for_reason("Ready")
    cluster.wait_for("the refused group to be gone", lambda: len(cluster.groups()) == 1)


def test_an_image_changed_after_the_policy_was_made_is_refused(cluster: Cluster, reported: None) -> None:
    # Any image with a layer that was never measured for this group; building the operator's proves that it builds.
    other = publish_operator(cluster.demo.state, print)
    cluster.kubectl("set", "image", "deployment/contracts", f"summarizer={other}")
    denied = cluster.wait_for_reason("PolicyDenied", "Deployed")
    assert denied["status"] == "False"
    assert "deviceHash not found" in denied["message"]
    assert cluster.condition("Drifted")["reason"] == "ModifiedOutside"
    assert any(e["reason"] == "PolicyDenied" and e["type"] == "Warning" for e in cluster.events())
    assert len(summaries(cluster)) == 5, "the old group keeps serving"


def test_a_variable_changed_by_the_host_is_refused(cluster: Cluster, reported: None) -> None:
    cluster.kubectl("set", "env", "deployment/contracts", "-c", "summarizer", "SUMMARIZER_MAX_WORDS=1000")
    denied = cluster.wait_for_reason("PolicyDenied", "Deployed")
    assert "missing required environment variable" in denied["message"]
    assert any(e["reason"] == "PolicyDenied" and e["type"] == "Warning" for e in cluster.events())


def key_for(cluster: Cluster, key: str, host_data: str) -> None:
    """Import another key for the documents, bound to a policy."""
    cluster.demo.owner(
        "csum", "key", "import", key, "--key", cluster.home / "demo" / "contracts.key", "--vault", VAULT,
        "--attestation", ATTESTATION, "--host-data", host_data, "--yes",
    )  # fmt: skip


def with_key(cluster: Cluster, key: str) -> list[dict[str, Any]]:
    file_systems = cluster.resource("x")["spec"]["fileSystems"]
    file_systems[0]["key"]["name"] = key
    return [file_systems[0]]


def test_a_key_that_names_another_policy_is_never_asked_for(cluster: Cluster) -> None:
    key_for(cluster, "another-policy", "ab" * 32)
    before = len(cluster.groups())
    cluster.apply(cluster.resource("unapproved", fileSystems=with_key(cluster, "another-policy")))
    try:
        waiting = cluster.wait_for_reason("AwaitingApproval", "KeyReleasable", "unapproved")
        assert "csum key approve" in waiting["message"]
        assert any(e["reason"] == "AwaitingApproval" and e["type"] == "Warning" for e in cluster.events("unapproved"))
        assert len(cluster.groups()) == before
    finally:
        cluster.kubectl("delete", "csum", "unapproved", "--timeout=60s")


def test_a_debug_profile_gets_no_key_for_groups_that_cannot_be_debugged(cluster: Cluster) -> None:
    document = cluster.resource(
        "debugged", fileSystems=with_key(cluster, "not-debuggable"), policy={"profile": "Debug"}
    )
    file = cluster.home / "demo" / "debugged.yaml"
    file.write_text(json.dumps(document))
    key_for(cluster, "not-debuggable", cluster.demo.owner("csum", "render", file, capture=True).stderr.split()[-1])
    cluster.apply(document)
    try:
        refused = cluster.wait_for_reason("DebugProfileRefused", "KeyReleasable", "debugged")
        assert "Restricted" in refused["message"]
        assert any(e["reason"] == "DebugProfileRefused" for e in cluster.events("debugged"))
    finally:
        cluster.kubectl("delete", "csum", "debugged", "--timeout=60s")


def test_a_group_straight_through_resource_manager_serves_the_same_summaries(cluster: Cluster) -> None:
    group = {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": RESOURCE_GROUP,
        "location": LOCATION,
        "subnetIDs": [
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/"
            "Microsoft.Network/virtualNetworks/vnet/subnets/groups"
        ],
    }
    file_systems = cluster.resource("x")["spec"]["fileSystems"]
    file_systems[0]["key"]["name"] = "direct"
    # No cluster's identity pulls for it: the group's own does, which has AcrPull.
    pulling = {"identity": cluster.resource("x")["spec"]["identity"]["resourceID"]}
    document = cluster.resource(
        "direct", fileSystems=file_systems, target={"containerGroup": group}, registryCredentials=pulling
    )
    # The models' key was imported for the other resource of this namespace.
    document["metadata"]["annotations"] = {ADOPT_KEY_ANNOTATION: f"{VAULT}/{MODELS_KEY}"}
    file = cluster.home / "demo" / "direct.yaml"
    file.write_text(json.dumps(document))
    key_for(cluster, "direct", cluster.demo.owner("csum", "render", file, capture=True).stderr.split()[-1])
    pods, before = len(cluster.get("pods")["items"]), len(cluster.groups())
    cluster.apply(document)
    cluster.wait_for_reason("Ready", name="direct")
    assert len(summaries(cluster, "direct")) == 5
    assert len(cluster.get("pods")["items"]) == pods
    assert len(cluster.groups()) == before + 1
    cluster.kubectl("delete", "csum", "direct", "--timeout=120s")
    assert len(cluster.groups()) == before


def test_a_resource_that_names_what_nobody_granted_is_left_alone(cluster: Cluster) -> None:
    theirs = "/subscriptions/x/resourceGroups/y/providers/Microsoft.ManagedIdentity/userAssignedIdentities/payroll"
    cluster.apply(cluster.resource("greedy", identity={"resourceID": theirs}))
    try:
        refused = cluster.wait_for_reason("NotGranted", name="greedy")
        assert f"identity {theirs}" in refused["message"]
        assert cluster.condition("Stalled", "greedy") is not None
        spec = yaml.safe_load(refused["message"].partition("(YAML): spec: ")[2])
        cluster.apply({**GRANT, "metadata": {"name": "greedy"}, "spec": spec})
        # At once, although a stalled resource is looked at every two minutes only: grants are watched.
        cluster.wait_for("the grant to be seen", lambda: cluster.condition("Ready", "greedy")["reason"] != "NotGranted")
    finally:
        cluster.kubectl("delete", "csum", "greedy", "--timeout=60s")
        cluster.kubectl("delete", "summarizergrants", "greedy", "--ignore-not-found")


def test_kubectl_apply_refuses_what_can_never_work(cluster: Cluster) -> None:
    command = [str(cluster.demo.state.bin / "kubectl"), "apply", "-f", "-"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.demo.state.kubeconfig)}
    document = json.dumps(cluster.resource("broken", target={}))
    result = subprocess.run(command, env=environment, input=document, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "set exactly one target" in result.stderr


def test_deleting_the_resource_removes_pod_group_and_finalizer(cluster: Cluster) -> None:
    cluster.kubectl("delete", "csum", "contracts", "--timeout=120s")
    assert cluster.get("pods")["items"] == []
    cluster.wait_for("the group to be gone", lambda: cluster.groups() == [])
