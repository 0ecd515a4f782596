"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controller manager and scheduler."""

import http.client
import ssl
from pathlib import Path

from azure_sandbox import processes
from azure_sandbox.built_programs import build_programs, built_program
from azure_sandbox.cluster_certificates import ClusterCertificates
from azure_sandbox.kubeconfig import write_kubeconfig
from azure_sandbox.processes import Command
from azure_sandbox.progress import Report
from azure_sandbox.state import SandboxState

SERVICE_RANGE = "10.96.0.0/16"
"""Addresses of services; nothing routes them here, they are only handed out."""

ISSUER = "https://kubernetes.default.svc.cluster.local"
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
"""Who the API server is to a node; kubeadm's name for it."""

READY_SECONDS = 90.0
"""Measured: 3 s on two idle cores. The bound leaves room for a machine that is busy compiling."""

REQUEST_SECONDS = 2.0

STOP_SECONDS = 30.0
"""The API server drains its watches first, and etcd must not go before it: it would never end by itself."""

START_ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


class ControlPlane:
    """The four processes, their certificates and the admin's kubeconfig, all below one state folder."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self.certificates = ClusterCertificates(state.cluster / "pki")

    @property
    def url(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self.state.port('apiserver')}"

    def up(self, report: Report) -> None:
        """Start what does not run; return when the API server serves and pods can be admitted.

        Raises:
            SpecError: The programs cannot be had here.
            TransientError: The build, or a start, did not succeed in time.
        """
        build_programs(self.state, report)
        self._write_kubeconfigs()
        report("control plane: starting etcd")
        processes.start(self.state, self._etcd())
        report("control plane: starting the API server")
        processes.start(self.state, self._api_server())
        processes.wait_until(self.state, "kube-apiserver", self.is_ready, READY_SECONDS, "the API server")
        report("control plane: starting the controllers")
        processes.start(self.state, self._controller_manager())
        processes.start(self.state, self._scheduler())
        processes.wait_until(
            self.state, "kube-controller-manager", self._admits_pods, READY_SECONDS, "service account `default`"
        )

    def down(self) -> None:
        """Stop everything, clients before servers.

        Raises:
            TransientError: A process survived SIGKILL.
        """
        for name in reversed(START_ORDER):
            processes.stop(self.state, name, STOP_SECONDS)

    def is_ready(self) -> bool:
        """Whether the API server says of itself that it is ready."""
        return self.get("/readyz") == http.client.OK

    def get(self, path: str) -> int:
        """The status code of a GET as the admin; 0 where nobody answers."""
        admin = self.certificates.client("kubernetes-admin", ["system:masters"])
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        context.load_cert_chain(admin.certificate, admin.key)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.state.port("apiserver"), context=context, timeout=REQUEST_SECONDS
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _admits_pods(self) -> bool:
        # Admission refuses every pod of a namespace until the controllers have made its service account.
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") == http.client.OK

    def _write_kubeconfigs(self) -> None:
        """One for each user: the admin's is the sandbox's kubeconfig, the others' are for our own processes."""
        admin = self.certificates.client("kubernetes-admin", ["system:masters"])
        write_kubeconfig(self.state.kubeconfig, self.url, self.certificates.authority, "kubernetes-admin", admin)
        for user in ("system:kube-controller-manager", "system:kube-scheduler"):
            leaf = self.certificates.client(user)
            write_kubeconfig(self._kubeconfig(user), self.url, self.certificates.authority, user, leaf)

    def _kubeconfig(self, user: str) -> Path:
        return self.state.cluster / f"{user.removeprefix('system:')}.kubeconfig"

    def _etcd(self) -> Command:
        # TLS with client certificates also between these two: any user of the machine can open a loopback port.
        leaf, authority = self.certificates.server("etcd"), self.certificates.authority
        client = f"https://127.0.0.1:{self.state.port('etcd')}"
        peer = f"https://127.0.0.1:{self.state.port('etcd_peer')}"
        return Command(
            "etcd",
            [
                str(built_program("etcd")),
                "--name=sandbox",
                f"--data-dir={self.state.cluster / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=sandbox={peer}",
                f"--cert-file={leaf.certificate}",
                f"--key-file={leaf.key}",
                f"--trusted-ca-file={authority}",
                "--client-cert-auth=true",
                f"--peer-cert-file={leaf.certificate}",
                f"--peer-key-file={leaf.key}",
                f"--peer-trusted-ca-file={authority}",
                "--peer-client-cert-auth=true",
                "--unsafe-no-fsync=true",  # a power cut may cost the data; a slow disk costs minutes
                "--log-level=warn",
            ],
        )

    def _api_server(self) -> Command:
        serving = self.certificates.server("kube-apiserver")
        to_etcd = self.certificates.client("kube-apiserver-etcd-client")
        to_node = self.certificates.client(KUBELET_CLIENT)
        accounts, authority = self.certificates.service_account_keys(), self.certificates.authority
        return Command(
            "kube-apiserver",
            [
                str(built_program("kube-apiserver")),
                "--bind-address=127.0.0.1",
                f"--secure-port={self.state.port('apiserver')}",
                "--endpoint-reconciler-type=none",  # a loopback address is refused as an endpoint
                f"--etcd-servers=https://127.0.0.1:{self.state.port('etcd')}",
                f"--etcd-cafile={authority}",
                f"--etcd-certfile={to_etcd.certificate}",
                f"--etcd-keyfile={to_etcd.key}",
                f"--tls-cert-file={serving.certificate}",
                f"--tls-private-key-file={serving.key}",
                f"--client-ca-file={authority}",
                f"--kubelet-certificate-authority={authority}",
                f"--kubelet-client-certificate={to_node.certificate}",
                f"--kubelet-client-key={to_node.key}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-signing-key-file={accounts.key}",
                f"--service-account-key-file={accounts.certificate}",
                f"--service-cluster-ip-range={SERVICE_RANGE}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",  # the encfs sidecar is a privileged container
                "--profiling=false",
            ],
        )

    def _controller_manager(self) -> Command:
        accounts = self.certificates.service_account_keys()
        return Command(
            "kube-controller-manager",
            [
                str(built_program("kube-controller-manager")),
                f"--kubeconfig={self._kubeconfig('system:kube-controller-manager')}",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={accounts.key}",
                f"--root-ca-file={self.certificates.authority}",
                # Nothing routes Services here, and the loopback addresses of groups are refused as endpoints.
                "--controllers=*,-endpoints-controller,-endpointslice-controller",
                "--leader-elect=false",
                "--node-monitor-period=1s",  # a node that became ready is given pods within a second
                "--secure-port=0",
                "--profiling=false",
            ],
        )

    def _scheduler(self) -> Command:
        return Command(
            "kube-scheduler",
            [
                str(built_program("kube-scheduler")),
                f"--kubeconfig={self._kubeconfig('system:kube-scheduler')}",
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false",
            ],
        )
