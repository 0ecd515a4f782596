"""The operator's own process, real Kopf in it, on a real API server: what it does when things do not go as planned."""

import base64
import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox.control_plane import ControlPlane
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import USE_LABEL
from tests.support.kubectl import Kubectl
from tests.support.resources import document, grant

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CRD = "crd/confidentialsummarizers.confidential.summarizer.dev"
GRANT_CRD = "crd/summarizergrants.confidential.summarizer.dev"


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        plane = ControlPlane(state)
        try:
            plane.up(lambda _: None)
            kubectl = Kubectl(state)
            kubectl("create", "namespace", "legal")
            data = {"key": base64.b64encode(b"k" * 32).decode()}
            meta = {"name": "material", "namespace": "legal", "labels": {USE_LABEL: "key"}}
            kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})
            yield kubectl
        finally:
            plane.down()


@pytest.fixture
def kinds(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", CRD)
    kubectl.apply(grant("legal"))


# `urlopen` would keep the proxy of this moment for every test after it, which have sandboxes of their own.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Operator:
    """A running process of the operator."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with OPENER.open(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(15)


@contextmanager
def operator(kubectl: Kubectl, folder: Path, port: int, **settings: str) -> Iterator[Operator]:
    environment = {**os.environ, "KUBECONFIG": str(kubectl.state.kubeconfig), "CSUM_HTTP_PORT": str(port), **settings}
    log = folder.parent / f"{port}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.support.operator_process", str(folder)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        yield Operator(process, port, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "azure"
    path.mkdir()
    return path


def resource(name: str) -> dict[str, Any]:
    given = document()
    key = given["spec"]["fileSystems"][0]["key"]
    key |= {"name": f"{name}-key", "management": "Import", "secretRef": {"name": "material", "key": "key"}}
    return {**{k: given[k] for k in ("apiVersion", "kind", "spec")}, "metadata": {"name": name, "namespace": "legal"}}


def ready(kubectl: Kubectl, name: str) -> dict[str, Any]:
    found = kubectl.get("-n", "legal", "csum", name) or {}
    conditions = found.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == "Ready"), {})


def rolling_out(kubectl: Kubectl, name: str) -> bool:
    return ready(kubectl, name).get("reason") == "RollingOut"


def delete_all(kubectl: Kubectl) -> None:
    """Take the finalizers off what is left, as an admin would in need."""
    for found in json.loads(kubectl("-n", "legal", "get", "csum", "-o", "json"))["items"]:
        name = found["metadata"]["name"]
        kubectl("-n", "legal", "delete", "csum", name, "--wait=false")
        kubectl.run(
            "-n", "legal", "patch", "csum", name, "--type=merge", "-p", '{"metadata":{"finalizers":[]}}', check=False
        )


def test_a_kind_that_comes_later_than_the_operator_is_waited_for(kubectl: Kubectl, folder: Path) -> None:
    kubectl("delete", "crd", "--all", "--ignore-not-found")
    with operator(kubectl, folder, 18081) as process:
        kubectl.eventually(lambda: process.ask("/readyz")[0] == 503, "the probe answers")
        kubectl.eventually(lambda: "CustomResourceDefinition" in process.ask("/readyz")[1], "it says what it waits for")
        assert process.ask("/healthz")[0] == 200  # a restart would not help
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        kubectl("wait", "--for=condition=Established", CRD)
        kubectl.apply(grant("legal"))
        kubectl.eventually(lambda: process.ask("/readyz") == (200, "working\n"), "it works")
        kubectl.apply(resource("late"))
        kubectl.eventually(lambda: rolling_out(kubectl, "late"), "the resource is handled")
        delete_all(kubectl)


@pytest.mark.usefixtures("kinds")
def test_a_kind_that_is_taken_away_is_waited_for_again(kubectl: Kubectl, folder: Path) -> None:
    with operator(kubectl, folder, 18088) as process:
        kubectl.apply(resource("before"))
        kubectl.eventually(lambda: rolling_out(kubectl, "before"), "the resource is handled")
        kubectl("delete", "crd", "--all", "--timeout=30s")  # the resources go first, and their groups with them
        assert list(folder.glob("legal.*")) == []
        kubectl.eventually(lambda: "CustomResourceDefinition" in process.ask("/readyz")[1], "it says what it waits for")
        assert process.ask("/healthz")[0] == 200
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        kubectl("wait", "--for=condition=Established", CRD)
        kubectl.apply(grant("legal"))
        kubectl.apply(resource("after"))
        kubectl.eventually(lambda: rolling_out(kubectl, "after"), "the resource is handled")
        assert process.process.poll() is None
        delete_all(kubectl)


@pytest.mark.usefixtures("kinds")
def test_a_resource_goes_even_where_the_kind_of_grants_went_before_it(kubectl: Kubectl, folder: Path) -> None:
    with operator(kubectl, folder, 18092) as process:
        kubectl.apply(resource("last"))
        kubectl.eventually(lambda: rolling_out(kubectl, "last"), "the resource is handled")
        kubectl("delete", GRANT_CRD, "--timeout=30s")
        kubectl.eventually(lambda: "CustomResourceDefinition" in process.ask("/readyz")[1], "it says what it waits for")
        kubectl("delete", CRD, "--timeout=60s")
        assert list(folder.glob("legal.*")) == []
        assert process.process.poll() is None


@pytest.mark.usefixtures("kinds")
def test_a_resource_of_an_earlier_version_says_what_to_change_and_can_be_changed_or_deleted(
    kubectl: Kubectl, folder: Path
) -> None:
    (today,) = (yaml.safe_load(file.read_text()) for file in (ROOT / "crds").glob("confidentialsummarizers.yaml"))
    earlier = copy.deepcopy(today)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    earlier["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = anything
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(earlier))
    recorded = yaml.safe_load((ROOT / "tests" / "data" / "api" / "first-version.yaml").read_text())
    for name in ("changed", "deleted"):
        meta = {**recorded["metadata"], "name": name}
        kubectl.apply({**recorded, "metadata": meta})
        status = json.dumps({"status": recorded["status"]})
        kubectl("-n", "legal", "patch", "csum", name, "--subresource=status", "--type=merge", "-p", status)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(today))
    kubectl("wait", "--for=condition=Established", CRD)
    with operator(kubectl, folder, 18089):
        for name in ("changed", "deleted"):
            kubectl.eventually(lambda name=name: ready(kubectl, name).get("reason") == "InvalidSpec", "it is refused")
            assert "spec.summarizer" in ready(kubectl, name)["message"]
        # Not by a server-side apply: the server cannot merge into what its schema no longer understands.
        kubectl("replace", "-f", "-", text=json.dumps(resource("changed")))
        kubectl.eventually(lambda: rolling_out(kubectl, "changed"), "the changed one is handled")
        kubectl("-n", "legal", "delete", "csum", "deleted", "--timeout=20s")
        delete_all(kubectl)


@pytest.mark.usefixtures("kinds")
def test_deletions_that_cannot_finish_stop_nobody_and_say_why(kubectl: Kubectl, folder: Path) -> None:
    stuck = [f"stuck-{i}" for i in range(40)]
    with operator(kubectl, folder, 18082) as process:
        for name in stuck:
            kubectl.apply(resource(name))
        for name in stuck:
            kubectl.eventually(lambda name=name: rolling_out(kubectl, name), f"{name} is deployed")
        kubectl("-n", "legal", "delete", "csum", *stuck, "--wait=false")
        kubectl.eventually(lambda: ready(kubectl, "stuck-0").get("reason") == "Deleting", "the cause is said")
        assert "Resource Manager answers 503" in ready(kubectl, "stuck-0")["message"]
        start = time.monotonic()
        kubectl.apply(resource("new"))
        kubectl.eventually(lambda: rolling_out(kubectl, "new"), "a new resource is handled", seconds=10)
        kubectl("-n", "legal", "delete", "csum", "new", "--timeout=10s")
        assert time.monotonic() - start < 20
        kubectl("-n", "legal", "annotate", "csum", "stuck-0", "confidential.summarizer.dev/abandon=true")
        gone = lambda: kubectl.get("-n", "legal", "csum", "stuck-0") is None  # noqa: E731
        kubectl.eventually(gone, "it is let go", seconds=10)
        events = kubectl("-n", "legal", "get", "events", "-o", "jsonpath={.items[*].reason}")
        assert {"Deleting", "Abandoned"} <= set(events.split())
        metrics = process.ask("/metrics")[1]
        assert "csum_deletion_age_seconds" in metrics
        assert "stuck-" not in metrics
        delete_all(kubectl)


@pytest.mark.usefixtures("kinds")
def test_a_standby_takes_over_from_a_leader_that_is_killed_and_makes_nothing_twice(
    kubectl: Kubectl, folder: Path
) -> None:
    lease = {"CSUM_LEASE_NAMESPACE": "default"}
    with operator(kubectl, folder, 18083, **lease) as first:
        kubectl.eventually(lambda: first.ask("/readyz") == (200, "working\n"), "the first leads")
        with operator(kubectl, folder, 18084, **lease) as second:
            kubectl.eventually(lambda: "standby" in second.ask("/readyz")[1], "the second stands by")
            kubectl.apply(resource("kept"))
            kubectl.eventually(lambda: rolling_out(kubectl, "kept"), "the first works")
            first.stop(signal.SIGKILL)
            start = time.monotonic()
            kubectl.apply(resource("after"))
            kubectl.eventually(lambda: rolling_out(kubectl, "after"), "the second works", seconds=20)
            assert time.monotonic() - start < 15
            assert (folder / "puts").read_text().split() == ["legal/kept", "legal/after"]
            with operator(kubectl, folder, 18085, **lease) as third:
                kubectl.eventually(lambda: "standby" in third.ask("/readyz")[1], "the third stands by")
                assert second.stop() == 0
                start = time.monotonic()
                kubectl.eventually(lambda: third.ask("/readyz") == (200, "working\n"), "the third leads")
                assert time.monotonic() - start < 10  # the lease was given back: nobody waits for it to run out
                assert (folder / "puts").read_text().split() == ["legal/kept", "legal/after"]
                delete_all(kubectl)


@pytest.mark.usefixtures("kinds")
def test_statuses_finalizers_and_events_are_written_under_our_name(kubectl: Kubectl, folder: Path) -> None:
    with operator(kubectl, folder, 18086, CSUM_LOG_FORMAT="json") as process:
        kubectl.apply(resource("named"))
        kubectl.eventually(lambda: rolling_out(kubectl, "named"), "the resource is handled")
        found = json.loads(kubectl("-n", "legal", "get", "csum", "named", "-o", "json", "--show-managed-fields"))
        managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
        assert managers == {"kubectl", "confidential-summarizer"}
        assert "annotations" not in found["metadata"]
        delete_all(kubectl)
        process.stop()
        lines = [json.loads(line) for line in process.log.read_text().splitlines()]
        transition = next(line for line in lines if line.get("reason") == "RollingOut")
        assert transition["object"] == "legal/named"
        assert [line for line in lines if line["logger"].startswith("kopf")] == []


@pytest.mark.usefixtures("kinds")
def test_a_resource_whose_status_is_settled_is_not_woken_by_its_own_writes(kubectl: Kubectl, folder: Path) -> None:
    with operator(kubectl, folder, 18087) as process:
        kubectl.apply(resource("quiet"))
        kubectl.eventually(lambda: rolling_out(kubectl, "quiet"), "the resource is handled")

        def looks() -> float:
            text = process.ask("/metrics")[1].splitlines()
            return sum(float(line.split()[-1]) for line in text if line.startswith("csum_reconcile_total{"))

        before = looks()
        patch = '{"status": {"endpoint": "https://10.9.9.9:1"}}'
        for _ in range(3):
            kubectl("-n", "legal", "patch", "csum", "quiet", "--subresource=status", "--type=merge", "-p", patch)
        time.sleep(1)
        assert looks() - before <= 1  # its own poll of a rollout, every two seconds
        delete_all(kubectl)
