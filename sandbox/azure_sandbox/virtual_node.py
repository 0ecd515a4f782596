"""The virtual node: our provider on the real virtual-kubelet library, as one process beside the control plane."""

from pathlib import Path

import yaml

from azure_sandbox import processes
from azure_sandbox.built_programs import built_program
from azure_sandbox.cluster_certificates import ClusterCertificates
from azure_sandbox.control_plane import KUBELET_CLIENT
from azure_sandbox.kubeconfig import write_kubeconfig
from azure_sandbox.names import CLIENT_ID, CLIENT_SECRET, LOCATION, RESOURCE_GROUP, SUBSCRIPTION, TENANT, VIRTUAL_NODE
from azure_sandbox.processes import Command
from azure_sandbox.programs import run_program
from azure_sandbox.progress import Report
from azure_sandbox.registry import accepts
from azure_sandbox.state import SandboxState

NAME = "virtual-node"
USER = "sandbox:virtual-node"

SUBNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Network"
    "/virtualNetworks/sandbox/subnets/cg"
)
"""`cg` is the subnet that virtual nodes on ACI expect by default."""

READY_SECONDS = 60.0

RULES = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["create", "get", "update", "patch"]},
    {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["get", "update", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
    {"apiGroups": [""], "resources": ["configmaps", "secrets", "services"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "list"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update", "patch"]},
]
"""What the node needs. The Node authorizer would not do: the library watches ConfigMaps and Secrets as a whole."""


class VirtualNode:
    """The node's one process, its credentials and its rights.

    Args:
        state: The sandbox's files.
        own_cluster: Whether the control plane is the sandbox's own, whose CA can issue the node's certificates.
    """

    def __init__(self, state: SandboxState, *, own_cluster: bool) -> None:
        self.state = state
        self.own_cluster = own_cluster

    def up(self, report: Report) -> None:
        """Start it, unless it runs, and wait until the API server has the node as ready.

        Raises:
            SpecError: The program is not built.
            TransientError: The start did not succeed.
        """
        if processes.running(self.state, NAME) and self.is_ready():
            return
        report("virtual node: starting")
        processes.start(self.state, self._command())
        processes.wait_until(self.state, NAME, self.is_ready, READY_SECONDS, f"node {VIRTUAL_NODE}")

    def is_ready(self) -> bool:
        """Whether the node serves, and the API server has it as ready and free of the taint of one that is not."""
        if self.own_cluster and not accepts(self.state.port("kubelet")):
            return False  # the API server takes a while to notice that a node is gone
        query = 'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}'
        answer = self._kubectl("get", "node", VIRTUAL_NODE, "--ignore-not-found", "-o", query).split()
        return answer[:1] == ["True"] and "node.kubernetes.io/not-ready" not in answer

    def _command(self) -> Command:
        arguments = [
            str(built_program("virtualnode")),
            f"--node={VIRTUAL_NODE}",
            f"--kubeconfig={self._kubeconfig()}",
            f"--listen=127.0.0.1:{self.state.port('kubelet')}",
            f"--subscription={SUBSCRIPTION}",
            f"--resource-group={RESOURCE_GROUP}",
            f"--location={LOCATION}",
            f"--tenant={TENANT}",
            f"--client-id={CLIENT_ID}",
            f"--subnet={SUBNET}",
        ]
        if self.own_cluster:
            certificates = ClusterCertificates(self.state.cluster / "pki")
            serving = certificates.server("kubelet")
            arguments += [
                f"--tls-cert-file={serving.certificate}",
                f"--tls-private-key-file={serving.key}",
                f"--client-ca-file={certificates.authority}",
                f"--client-name={KUBELET_CLIENT}",
            ]
        return Command(NAME, arguments, {**self.state.client_environment(), "AZURE_CLIENT_SECRET": CLIENT_SECRET})

    def _kubeconfig(self) -> Path:
        """The node's own user with its own rights; in a cluster that is there already, whoever brought it."""
        if not self.own_cluster:
            return self.state.kubeconfig
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(_rights()))
        path = self.state.cluster / "virtual-node.kubeconfig"
        certificates = ClusterCertificates(self.state.cluster / "pki")
        url = f"https://127.0.0.1:{self.state.port('apiserver')}"
        write_kubeconfig(path, url, certificates.authority, USER, certificates.client(USER))
        return path

    def _kubectl(self, *arguments: str, text: str = "") -> str:
        command: list[str | Path] = [
            self.state.bin / "kubectl",
            "--kubeconfig",
            self.state.kubeconfig,
            "--request-timeout=20s",
            *arguments,
        ]
        return run_program(command, self.state.home, self.state.outside_environment(), text)


def _rights() -> list[dict[str, object]]:
    """A role with `RULES`, bound to the node's user."""
    group = "rbac.authorization.k8s.io"
    role = {"kind": "ClusterRole", "name": USER}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": USER}, "rules": RULES},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": group, **role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
        },
    ]
