"""The sandbox as a whole: everything up in the right order, everything down in the reverse one, and how it is doing.

`up` may be called at any time: what runs is left alone, what died is started again, and so is whatever talks to it
through a port or certificate that had to change.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from azure_sandbox import blobs, processes, registry, virtual_node
from azure_sandbox.blobs import Blobs
from azure_sandbox.built_programs import build_programs
from azure_sandbox.control_plane import START_ORDER, ControlPlane
from azure_sandbox.kubeconfig import read_kubeconfig
from azure_sandbox.processes import Command
from azure_sandbox.progress import Report, SideBySide
from azure_sandbox.registry import Registry, accepts
from azure_sandbox.state import SandboxState, is_free, locked, write_private
from azure_sandbox.virtual_node import VirtualNode
from confidential_summarizer.errors import SpecError

STAND_INS = "stand-ins"

STAND_INS_READY_SECONDS = 60.0
STAND_INS_STOP_SECONDS = 60.0
"""Container groups are stopped first, each with its own grace period."""

PORT_OWNERS: Mapping[str, str] = {
    "proxy": STAND_INS,
    "stand_ins": STAND_INS,
    "registry": registry.NAME,
    "azurite": blobs.NAME,
    "apiserver": "kube-apiserver",
    "etcd": "etcd",
    "etcd_peer": "etcd",
    "kubelet": virtual_node.NAME,
}
"""Which process listens on each of the sandbox's own ports; that of an added process is kept under its name."""


@dataclass(frozen=True)
class ProcessStatus:
    """How one process is doing.

    Attributes:
        name: Names its log, too.
        condition: `died` is a process that was started, not stopped, and is gone.
        pid: Its number while it runs.
        port: Where it listens on 127.0.0.1, its first port if it has two.
        log: Its log.
    """

    name: str
    condition: Literal["running", "stopped", "died"]
    pid: int | None
    port: int | None
    log: Path


class StandIns:
    """The one process with all Azure services of our own, the proxy, and the container groups."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state

    def up(self, report: Report) -> None:
        """Start it, unless it runs.

        Raises:
            TransientError: It did not start in time.
        """
        report("Azure stand-ins: starting")
        arguments = [sys.executable, "-m", "azure_sandbox.azure", "--home", str(self.state.home)]
        processes.start(self.state, Command(STAND_INS, arguments, self.state.client_environment()))
        processes.wait_until(self.state, STAND_INS, self.is_ready, STAND_INS_READY_SECONDS, "the Azure stand-ins")

    def down(self) -> None:
        """Stop it with its container groups."""
        processes.stop(self.state, STAND_INS, STAND_INS_STOP_SECONDS)

    def is_ready(self) -> bool:
        """Whether the TLS port and the proxy accept connections."""
        return accepts(self.state.port("stand_ins")) and accepts(self.state.port("proxy"))


def up(state: SandboxState, report: Report, kubeconfig: Path | None = None) -> None:
    """Bring the sandbox up.

    Args:
        state: Its files.
        report: Told about each step.
        kubeconfig: Leads to a cluster to use instead of one of our own.

    Raises:
        SpecError: This is no checkout, a program is missing, or the kubeconfig cannot be used.
        TransientError: A part did not start in time.
    """
    _require_checkout()
    state.prepare()
    with locked(state.home / "lifecycle.lock"):
        if kubeconfig is None:
            _external_marker(state).unlink(missing_ok=True)
        else:
            read_kubeconfig(kubeconfig)
            _external_marker(state).touch()
            write_private(state.kubeconfig, kubeconfig.read_text())
        _free_ports(state, report)
        with SideBySide(report) as parts:
            parts.start(Blobs(state).up)
            parts.start(partial(_up_azure, state))
            parts.start(ControlPlane(state).up if kubeconfig is None else partial(build_programs, state))
        VirtualNode(state, own_cluster=kubeconfig is None).up(report)


def _up_azure(state: SandboxState, report: Report) -> None:
    """The stand-ins go on at once with the groups that ran, which need images and the guest's programs."""
    Registry(state).up(report)
    build_programs(state, report)
    StandIns(state).up(report)


def _require_checkout() -> None:
    source = Path(__file__).parents[1]
    if not (source / "packages.txt").exists():
        raise SpecError(
            "the sandbox builds Kubernetes and other programs from sources that no wheel carries: clone the repository "
            "of confidential-summarizer, and run `make setup setup-sandbox` and `.venv/bin/csum sandbox up` there"
        )


def down(state: SandboxState, report: Report) -> None:
    """Stop everything, clients before servers; files stay, so that the next `up` goes on from here.

    Raises:
        TransientError: A process survived SIGKILL.
    """
    if not state.home.exists():
        return
    with locked(state.home / "lifecycle.lock"):
        _stop_everything(state, report)


def status(state: SandboxState) -> list[ProcessStatus]:
    """How each process is doing, in the order in which they start."""
    names = [registry.NAME, blobs.NAME, STAND_INS]
    if not _external_marker(state).exists():
        names += START_ORDER
    ports = state.ports()
    first_port: dict[str, int] = {}
    for service, owner in PORT_OWNERS.items():
        first_port.setdefault(owner, ports[service])
    names += [virtual_node.NAME, *_added(state)]
    return [_process_status(state, name, first_port.get(name, ports.get(name))) for name in names]


def is_up(state: SandboxState) -> bool:
    """Whether every process runs."""
    return state.home.exists() and all(process.condition == "running" for process in status(state))


def _process_status(state: SandboxState, name: str, port: int | None) -> ProcessStatus:
    identity = processes.running(state, name)
    if identity is not None:
        return ProcessStatus(name, "running", identity.pid, port, state.log(name))
    return ProcessStatus(name, "died" if processes.died(state, name) else "stopped", None, port, state.log(name))


def _free_ports(state: SandboxState, report: Report) -> None:
    """Give a new port to each service that is down and whose own port somebody else took meanwhile.

    Every process reads ports when it starts, so one changed port means that all start anew.
    """
    ports = state.ports()
    taken = [
        service
        for service, port in ports.items()
        if processes.running(state, PORT_OWNERS.get(service, service)) is None and not is_free(port)
    ]
    if not taken:
        return
    report(f"ports: {', '.join(str(ports[service]) for service in taken)} in use by others; choosing new ones")
    _stop_everything(state, report)
    for service in taken:
        state.move_port(service)


def _stop_everything(state: SandboxState, report: Report) -> None:
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        *((name, partial(processes.stop, state, name)) for name in _added(state)),
        ("virtual node", lambda: processes.stop(state, virtual_node.NAME)),
        ("Azure stand-ins", StandIns(state).down),
        ("control plane", ControlPlane(state).down),
        ("blobs", Blobs(state).down),
        ("registry", Registry(state).down),
    )
    for label, stop in steps:
        report(f"{label}: stopping")
        stop()


def _added(state: SandboxState) -> list[str]:
    """The processes that somebody started beside the sandbox's own; they are shown and stopped with it."""
    own = {*PORT_OWNERS.values(), *START_ORDER}
    return [name for name in processes.started(state) if name not in own]


def _external_marker(state: SandboxState) -> Path:
    """Exists while the sandbox uses a cluster that is not its own."""
    return state.cluster / "external"
