"""Pods on the virtual node: real Kubernetes, real virtual-kubelet, container groups whose guests follow a script."""

import json
import os
import signal
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from azure_sandbox import lifecycle, processes, virtual_node
from azure_sandbox.names import VIRTUAL_NODE
from azure_sandbox.processes import Command
from azure_sandbox.state import SandboxState
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
POLICY = "microsoft.containerinstance.virtualnode.ccepolicy"


def quiet(_):
    pass


def start_stand_ins(state):
    """The stand-ins with scripted guests, under the name by which the sandbox knows its own."""
    arguments = [sys.executable, "-m", "tests.support.stand_ins_process", str(state.home)]
    processes.start(state, Command(lifecycle.STAND_INS, arguments, {"PYTHONPATH": str(ROOT)}))
    processes.wait_until(state, lifecycle.STAND_INS, lifecycle.StandIns(state).is_ready, 60)


@pytest.fixture(scope="module")
def state():
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        try:
            start_stand_ins(state)
            lifecycle.up(state, quiet)
            yield state
        finally:
            lifecycle.down(state, quiet)


@pytest.fixture
def kubectl(state):
    return Kubectl(state)


@pytest.fixture
def run(kubectl, request):
    """Run a pod whose image's tag is the script, and take it away afterwards."""
    names = []

    def apply(script, **annotations):
        name = f"pod-{abs(hash(request.node.name)) % 10**8}-{len(names)}"
        names.append(name)
        kubectl.apply(pod(name, script, annotations or {POLICY: "cGFja2FnZSBwb2xpY3kK"}))
        return name

    yield apply
    for name in names:
        kubectl("delete", "pod", name, "--ignore-not-found", "--force", "--grace-period=0")


def pod(name, script, annotations):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "nodeSelector": {"virtualization": "virtualnode2", "kubernetes.io/os": "linux"},
            "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{"name": "app", "image": f"party1.azurecr.io/summarizer:{script}"}],
        },
    }


def wait_ready(kubectl, name):
    kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=40s")


def waiting(kubectl, name):
    """How the pod's container waits, once it says so with a message."""
    statuses = kubectl.get("pod", name)["status"].get("containerStatuses", [{}])
    state = statuses[0].get("state", {}).get("waiting", {})
    return state if state.get("message") else None


def events(kubectl, name, reason):
    found = kubectl.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in found]


def groups(state, name):
    return [path for path in state.groups.iterdir() if path.name.startswith(f"default-{name}-")]


def test_the_node_is_told_from_the_older_kind_by_its_label(kubectl):
    node = kubectl.get("node", VIRTUAL_NODE)
    assert node["metadata"]["labels"]["virtualization"] == "virtualnode2"
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert {"key": "virtual-kubelet.io/provider", "value": "azure", "effect": "NoSchedule"} in node["spec"]["taints"]


def test_a_pod_becomes_a_group_and_shows_its_state_events_and_log(state, kubectl, run):
    name = run("runs")
    wait_ready(kubectl, name)
    status = kubectl.get("pod", name)["status"]
    assert status["phase"] == "Running"
    assert status["podIP"].startswith("127.77.")
    assert len(groups(state, name)) == 1
    assert kubectl("logs", name, "--tail=2").split() == ["two", "three"]
    kubectl.eventually(lambda: len(events(kubectl, name, "Started")) == 1, "the group's event is told")


def test_a_pod_that_ends_shows_its_exit_code(kubectl, run):
    name = run("ends")
    ended = kubectl.eventually(
        lambda: kubectl.get("pod", name)["status"].get("containerStatuses", [{}])[0].get("state", {}).get("terminated"),
        "the container ends",
    )
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


def test_a_denial_is_the_containers_state_and_one_event(kubectl, run):
    name = run("denied")
    state = kubectl.eventually(lambda: waiting(kubectl, name), "the denial shows")
    assert state["reason"] == "CreateContainerError"
    assert "policyDecision<" in state["message"]
    assert kubectl.get("pod", name)["status"]["phase"] == "Pending"
    kubectl.eventually(lambda: events(kubectl, name, "Failed") == [state["message"]], "it is told once")


def test_a_missing_image_is_the_containers_state(kubectl, run):
    name = run("missing")
    state = kubectl.eventually(lambda: waiting(kubectl, name), "the reason shows")
    assert state["reason"] == "ErrImagePull"
    assert "InaccessibleImage" in state["message"]


def test_a_pod_without_a_policy_stays_pending_and_says_why(state, kubectl, run):
    name = run("runs", example="no policy")
    assert POLICY in kubectl.eventually(lambda: waiting(kubectl, name), "the reason shows")["message"]
    assert len(events(kubectl, name, "FailedCreatePodSandBox")) == 1
    assert not groups(state, name)


def test_a_deleted_pod_takes_its_group_with_it(state, kubectl, run):
    name = run("runs")
    wait_ready(kubectl, name)
    kubectl("delete", "pod", name, "--timeout=40s")
    assert kubectl.get("pod", name) is None
    assert not groups(state, name)


def test_a_killed_node_finds_its_groups_again_and_removes_those_of_pods_that_went_meanwhile(state, kubectl, run):
    kept, gone = run("runs"), run("runs")
    for name in (kept, gone):
        wait_ready(kubectl, name)
    kubectl.eventually(lambda: events(kubectl, kept, "Started"), "the event is told")
    os.kill(processes.running(state, virtual_node.NAME).pid, signal.SIGKILL)
    kubectl.eventually(lambda: processes.died(state, virtual_node.NAME), "the node dies")
    assert not lifecycle.is_up(state)
    kubectl("delete", "pod", gone, "--force", "--grace-period=0")
    (group,) = groups(state, kept)
    before = group.stat().st_ino

    lifecycle.up(state, quiet)
    assert lifecycle.is_up(state)
    kubectl.eventually(lambda: not groups(state, gone), "the group without a pod goes")
    assert [path.stat().st_ino for path in groups(state, kept)] == [before]
    container = kubectl.get("pod", kept)["status"]["containerStatuses"][0]
    assert (container["ready"], container["restartCount"]) == (True, 0)  # a second PUT would have restarted it
    assert len(events(kubectl, kept, "Started")) == 1


def test_a_pod_of_the_same_name_gets_a_group_of_its_own(state, kubectl, run):
    name = run("runs")
    wait_ready(kubectl, name)
    (first,) = groups(state, name)
    document = pod(name, "runs", {POLICY: "cGFja2FnZSBwb2xpY3kK"})
    kubectl("replace", "--force", "--grace-period=0", "-f", "-", text=json.dumps(document))
    wait_ready(kubectl, name)
    kubectl.eventually(lambda: len(groups(state, name)) == 1 and groups(state, name) != [first], "the old group goes")


def test_nobody_but_the_api_server_may_ask_the_node(state):
    context = ssl.create_default_context(cafile=str(state.cluster / "pki" / "ca.crt"))
    url = f"https://127.0.0.1:{state.port('kubelet')}/pods"
    with pytest.raises((OSError, ssl.SSLError)):
        urllib.request.urlopen(url, context=context, timeout=10)
    context.load_cert_chain(*(state.cluster / "pki" / f"system-kube-scheduler.{kind}" for kind in ("crt", "key")))
    with pytest.raises((OSError, ssl.SSLError)):
        urllib.request.urlopen(url, context=context, timeout=10)


@pytest.mark.parametrize("host", ["party1.azurecr.io", "mcr.microsoft.com"])
def test_the_registry_asks_for_tokens_under_azures_names(state, host):
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": state.proxy_url}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(state.ca_bundle))),
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"https://{host}/v2/", timeout=10)
    challenge = f'Bearer realm="https://{host}/oauth2/token",service="{host}"'
    assert (refused.value.code, refused.value.headers["WWW-Authenticate"]) == (401, challenge)
