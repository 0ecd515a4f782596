"""The real etcd, API server, controllers and scheduler, from start to stop."""

import json
import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from azure_sandbox import processes
from azure_sandbox.built_programs import KUBERNETES_VERSION
from azure_sandbox.control_plane import START_ORDER, ControlPlane
from azure_sandbox.state import SandboxState
from tests.support.kubectl import Kubectl

pytestmark = pytest.mark.slow

PRIVILEGED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "sidecar"},
    "spec": {"containers": [{"name": "encfs", "image": "x", "securityContext": {"privileged": True}}]},
}


@pytest.fixture(scope="module")
def plane():
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        plane = ControlPlane(state)
        try:
            plane.up(lambda _: None)
            yield plane
        finally:
            plane.down()


@pytest.fixture
def kubectl(plane):
    return Kubectl(plane.state)


def identities(plane):
    return {name: processes.running(plane.state, name) for name in START_ORDER}


def test_the_server_is_the_version_it_was_built_from(kubectl):
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == f"v{KUBERNETES_VERSION}"


def test_a_second_start_leaves_every_process_as_it_is(plane):
    before = identities(plane)
    plane.up(lambda _: None)
    assert identities(plane) == before
    assert None not in before.values()


def test_what_died_is_started_again_and_the_rest_left_alone(plane):
    before = identities(plane)
    os.kill(before["kube-scheduler"].pid, signal.SIGKILL)
    Kubectl(plane.state).eventually(lambda: processes.died(plane.state, "kube-scheduler"), "the scheduler dies")
    plane.up(lambda _: None)
    after = identities(plane)
    assert after["kube-scheduler"] not in (None, before["kube-scheduler"])
    assert {**after, "kube-scheduler": None} == {**before, "kube-scheduler": None}


def test_privileged_pods_are_admitted(kubectl):
    kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(PRIVILEGED))


def test_a_service_account_signs_in_with_its_token_and_has_no_rights_of_its_own(kubectl):
    token = kubectl("create", "token", "default").strip()
    who = json.loads(kubectl("auth", "whoami", "--token", token, "-o", "json", "--kubeconfig", bare(kubectl)))
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
    answer = kubectl.run("get", "secrets", "--token", token, "--kubeconfig", bare(kubectl), check=False)
    assert answer.returncode == 1
    assert "Forbidden" in answer.stderr


def test_without_credentials_nothing_is_shown(kubectl):
    answer = kubectl.run("get", "secrets", "--kubeconfig", bare(kubectl), "--token", "made-up", check=False)
    assert answer.returncode == 1
    assert "Unauthorized" in answer.stderr


def test_nothing_listens_beyond_this_machine(plane):
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A":  # LISTEN
                listening.add((address, int(port, 16)))
    for service in ("apiserver", "etcd", "etcd_peer"):
        assert {address for address, port in listening if port == plane.state.port(service)} == {"0100007F"}


def test_objects_are_there_again_after_a_stop_and_a_start(plane, kubectl):
    kubectl("create", "configmap", "kept", "--from-literal=a=b")
    plane.down()
    assert not any(identities(plane).values())
    for service in ("apiserver", "etcd"):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", plane.state.port(service))):
            pass
    plane.up(lambda _: None)
    assert kubectl.get("configmap", "kept")["data"] == {"a": "b"}


def bare(kubectl):
    """A kubeconfig that knows the server and nobody's credentials."""
    document = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    document["users"] = [{"name": user["name"], "user": {}} for user in document["users"]]
    path = kubectl.state.home / "bare.kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)
