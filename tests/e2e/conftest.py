"""One sandbox for all end-to-end tests: the demo, run once, with its resource ready."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox import lifecycle
from azure_sandbox.azure.principals import OWNER
from azure_sandbox.names import RESOURCE_GROUP, SUBSCRIPTION, VAULT
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import API_VERSION, GRANT_KIND
from demo.run import Demo

PATIENCE_SECONDS = 180
DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
GRANT = {
    "apiVersion": API_VERSION,
    "kind": GRANT_KIND,
    "metadata": {"name": "end-to-end"},
    "spec": {
        "namespaces": {"names": ["legal"]},
        "vaults": [{"host": VAULT}],
        "resourceGroups": [GROUPS],
        "subnets": [f"{GROUPS}/providers/Microsoft.Network/virtualNetworks/vnet/subnets/groups"],
    },
}
"""What these tests use beyond the example's grant."""


@dataclass(frozen=True)
class Cluster:
    """The demo's cluster, and what a person would do with it."""

    demo: Demo
    complete: bool

    @property
    def home(self) -> Path:
        return self.demo.state.home

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl as the admin in the namespace of the demo and return what it prints."""
        command = [str(self.demo.state.bin / "kubectl"), "--namespace", "legal", *words]
        environment = {**os.environ, "KUBECONFIG": str(self.demo.state.kubeconfig)}
        result = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{words}: {result.stderr}"
        return result.stdout

    def csum(self, *words: object, storage: bool = False) -> subprocess.CompletedProcess[str]:
        """Run csum as the data owner with the admin's kubeconfig, or as somebody who has the storage account's key."""
        state = self.demo.state
        environment = {**self.demo.environment_of(OWNER), "KUBECONFIG": str(state.kubeconfig)}
        if storage:
            environment = {**state.client_environment(), "AZURE_STORAGE_KEY": state.blob_key()}
        command = [str(Path(sys.executable).parent / "csum"), *map(str, words)]
        return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)

    def fault(self, *words: object) -> None:
        """Let services of the sandbox fail on purpose, as `csum sandbox fault` does."""
        command = [str(Path(sys.executable).parent / "csum"), "sandbox", "fault", *map(str, words)]
        environment = {**os.environ, "CSUM_SANDBOX_HOME": str(self.home)}
        subprocess.run(command, env=environment, capture_output=True, check=True)

    def everything(self) -> dict[str, bytes]:
        """Return all that the cluster, the services' logs, the groups' folders and storage hold, by where it is."""
        state = self.demo.state
        found = {
            kind: self.kubectl("get", kind, "--all-namespaces", "-o", "yaml").encode()
            for kind in ("csum", "events", "pods", "deployments", "configmaps", "secrets", "nodes")
        }
        found |= {str(file): file.read_bytes() for file in state.logs.iterdir()}
        found |= {str(file): file.read_bytes() for file in state.groups.rglob("*") if file.is_file()}
        return found | {"blobs": b"".join(file.read_bytes() for file in state.blobs.rglob("*") if file.is_file())}

    def get(self, kind: str, name: str | None = None) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, *([name] if name else []), "-o", "json"))

    def condition(self, kind: str, name: str = "contracts") -> dict[str, Any] | None:
        status = self.get("csum", name).get("status", {})
        return next((c for c in status.get("conditions", []) if c["type"] == kind), None)

    def wait_for(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait until something holds, and return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := holds()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE_SECONDS} s for {what}\n{self.kubectl('get', 'csum,pods,events')}")
            time.sleep(0.5)
        return found

    def wait_for_reason(self, reason: str, kind: str = "Ready", name: str = "contracts") -> dict[str, Any]:
        """Wait until a condition of this generation has a reason, and return the condition."""

        def holds() -> dict[str, Any] | None:
            found = self.condition(kind, name)
            generation = self.get("csum", name)["metadata"]["generation"]
            current = found is not None and found["observedGeneration"] == generation
            return found if current and found["reason"] == reason else None

        return self.wait_for(f"{kind} of {name} to be {reason}", holds)

    def events(self, name: str = "contracts") -> list[dict[str, Any]]:
        return [e for e in self.get("events")["items"] if e["involvedObject"]["name"] == name]

    def groups(self, name: str = "") -> list[dict[str, Any]]:
        """Return the container groups that exist in Azure, all or those of one resource."""
        files = self.demo.state.groups.glob(f"legal-{name}-*/resource.json" if name else "*/resource.json")
        return [json.loads(file.read_text()) for file in files]

    def resource(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return the demo's resource under another name, with parts of its spec replaced."""
        document = yaml.safe_load((self.home / "demo" / "contracts.yaml").read_text())
        document["metadata"]["name"] = name
        document["spec"] |= changes
        return document

    def apply(self, document: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document))


def summaries(cluster: Cluster, name: str = "contracts") -> list[dict[str, Any]]:
    """Return what a reader gets from the page of a resource."""
    status = cluster.get("csum", name)["status"]
    return cluster.demo.read(status["endpoint"], status["trust"]["hostData"])


def texts() -> set[bytes]:
    """Return pieces of the documents that are long enough to be nobody else's."""
    lines = (line.strip() for file in DOCUMENTS.glob("*.txt") for line in file.read_text().splitlines())
    return {line[:60].encode() for line in lines if len(line) >= 60}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.skip("the sandbox's container groups need root")
    # Not below pytest's own folder: unix sockets need a short path.
    home = Path(tempfile.mkdtemp(prefix="csum-e2e-"))
    demo = Demo(SandboxState(home), time.monotonic())
    try:
        cluster = Cluster(demo, demo.run(None))
        cluster.apply(GRANT)
        yield cluster
    finally:
        lifecycle.down(demo.state, print)
        shutil.rmtree(home, ignore_errors=True)
