"""What a thousand resources cost the operator: its own process, a real API server, and Azure that answers at once.

Two figures stand beside each other: seconds by the clock, in which API server, etcd and Azure's stand-in share the
machine, and seconds of CPU that the operator itself used. The goals are about its own time.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.control_plane import ControlPlane
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.kube import CONFIG_MAP, EVENT, SUMMARIZER
from confidential_summarizer.kube.client import KubernetesClient, connect
from tests.bench.azure_at_once import GROUPS, registry
from tests.support.kubectl import Kubectl
from tests.support.resources import document, grant

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
PLACES = 10
"""Namespaces, each with a resource group of its own."""
RESYNC_SECONDS = 60.0
"""Instead of five minutes, so that a resync can be waited for; it makes five times the work."""
LOOK_SECONDS = 0.5
"""Between two questions to the operator for its metrics: to count a thousand resources takes it some milliseconds, too."""
PORT = 18180
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
SUBNET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
OPERATOR = f"""
import sys
from confidential_summarizer.reconcile import patience
patience.RESYNC_SECONDS = {RESYNC_SECONDS}
from confidential_summarizer.__main__ import main
sys.exit(main())
"""
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> str:
    with OPENER.open(url, timeout=30) as answer:
        return str(answer.read().decode())


@dataclass
class Process:
    """A process and what it costs."""

    popen: subprocess.Popen[bytes]
    started: float

    @property
    def clock(self) -> float:
        return time.monotonic() - self.started

    @property
    def cpu(self) -> float:
        """Seconds of CPU, of its children too once they ended."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what: str = "VmRSS") -> float:
        """MiB that are resident, or were at most (VmHWM)."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024


@dataclass
class World:
    """The cluster, and Azure."""

    state: SandboxState
    environment: Mapping[str, str]

    @contextmanager
    def running(self, *command: str, log: str) -> Iterator[Process]:
        path = self.state.log(log)
        with path.open("ab") as output:
            started = time.monotonic()
            popen = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=output, stderr=output)
        try:
            yield Process(popen, started)
        finally:
            popen.terminate()
            popen.wait(60)

    @contextmanager
    def operator(self) -> Iterator[Process]:
        with self.running(sys.executable, "-c", OPERATOR, log="operator") as process:
            yield process

    def asked(self) -> dict[str, int]:
        """How often Azure has been asked what."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.state.port('asked')}/", headers={"Host": "asked"})
        with OPENER.open(request, timeout=30) as answer:
            return dict(json.load(answer))


def eventually(look: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(LOOK_SECONDS)


def metric(name: str, **labels: str) -> float:
    """Sum a metric over all of its labels but the ones given."""
    try:
        lines = ask(f"http://127.0.0.1:{PORT}/metrics").splitlines()
    except OSError:
        return 0.0
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    found = [line for line in lines if line.partition("{")[0].partition(" ")[0] == name]
    return sum(float(line.split()[-1]) for line in found if all(one in line for one in wanted))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        CertificateAuthority.open(state.ca)
        token = state.home / "token"
        token.write_text("a.b.c")
        environment = {
            **os.environ,
            **state.client_environment(),
            "KUBECONFIG": str(state.kubeconfig),
            "AZURE_TENANT_ID": "tenant",
            "AZURE_CLIENT_ID": "operator",
            "AZURE_FEDERATED_TOKEN_FILE": str(token),
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com",
            "CSUM_HTTP_PORT": str(PORT),
            "CSUM_LOG_FORMAT": "json",
        }
        world, plane = World(state, environment), ControlPlane(state)
        try:
            plane.up(lambda _: None)
            prepare(Kubectl(state))
            with world.running(sys.executable, "-m", "tests.bench.azure_at_once", home, log="azure"):
                eventually(lambda: state.log("azure").exists() and bool(_listens(world)), "Azure answers", 60)
                yield world
        finally:
            plane.down()


def _listens(world: World) -> bool:
    try:
        world.asked()
    except OSError:
        return False
    return True


def prepare(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "crd", "--all")
    data = {"key": base64.b64encode(b"k" * 32).decode()}
    namespaces = [f"team-{place}" for place in range(PLACES)]
    given = grant(*namespaces, registries=["mcr.microsoft.com"], subnets=[SUBNET])
    kubectl.apply(given | {"metadata": {"name": "teams"}})
    for namespace in namespaces:
        kubectl("create", "namespace", namespace)
        meta = {"name": "material", "namespace": namespace, "labels": {USE_LABEL: "key"}}
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


def resource(index: int) -> dict[str, Any]:
    images = {name: f"mcr.microsoft.com/{name}@{digest}" for name, digest in registry()[1].items()}
    place = index % PLACES
    group = {"subscriptionID": SUBSCRIPTION, "resourceGroup": f"group-{place}", "location": "westeurope"}
    given = document(
        image=images["summarizer"],
        sidecars={"encfs": images["aci/encfs"]},
        target={"containerGroup": {**group, "subnetIDs": [SUBNET]}},
    )
    key = given["spec"]["fileSystems"][0]["key"]
    key |= {"name": f"key-{index}", "management": "Import", "secretRef": {"name": "material", "key": "key"}}
    meta = {"name": f"contracts-{index}", "namespace": f"team-{place}"}
    return {**{k: given[k] for k in ("apiVersion", "kind", "spec")}, "metadata": meta}


async def with_kube(state: SandboxState, work: Callable[[KubernetesClient], Any]) -> Any:
    os.environ["KUBECONFIG"] = str(state.kubeconfig)
    async with connect() as kube:
        return await work(kube)


async def apply_all(kube: KubernetesClient) -> None:
    turns = asyncio.Semaphore(16)

    async def apply(index: int) -> None:
        async with turns:
            await kube.create(resource(index))

    await asyncio.gather(*map(apply, range(GROUPS)))


async def versions(kube: KubernetesClient) -> set[tuple[str, str]]:
    found = [item for kind in (SUMMARIZER, CONFIG_MAP, EVENT) for item in await kube.list(kind, "")]
    return {(item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for item in found}


def looks() -> float:
    """How many looks there have been."""
    return metric("csum_reconcile_total")


def tell(subject: str, clock: float, cpu: float, rest: str) -> None:
    sys.stdout.write(f"{subject:42} {clock:6.1f} s by the clock {cpu:6.1f} s of its CPU   {rest}\n")


def test_a_thousand_resources(world: World) -> None:
    with world.operator() as operator:
        eventually(lambda: metric("csum_leader") == 1, "it works", 60)
        start, before = time.monotonic(), operator.cpu
        asyncio.run(with_kube(world.state, apply_all))
        applied = time.monotonic() - start
        eventually(lambda: metric("csum_resources", ready="True") == GROUPS, "all are settled", 900)
        settling = operator.cpu - before
        first = operator.memory("VmHWM")
        rest = f"{applied:.1f} s of these for kubectl's part; {first:.0f} MiB resident at most"
        tell(f"{GROUPS} resources, from apply to settled", time.monotonic() - start, settling, rest)
    with world.operator() as operator:
        eventually(lambda: looks() >= GROUPS, "all are looked at", 600)
        restarting = operator.cpu
        tell("from the start of a process to all seen", operator.clock, restarting, f"{operator.memory():.0f} MiB")
        written, asked = asyncio.run(with_kube(world.state, versions)), world.asked()
        start, before, since = time.monotonic(), operator.cpu, looks()
        eventually(lambda: looks() - since >= GROUPS, "all are looked at again", 600)
        again, clock, cpu = looks() - since, time.monotonic() - start, operator.cpu - before
        calls = Counter(world.asked())
        calls.subtract(asked)
        tell("a resync of all", clock, cpu, f"{1000 * cpu / again:.1f} ms of its CPU a look")
        sys.stdout.write(f"  {again:.0f} looks asked Azure {dict(calls)}; {operator.memory('VmHWM'):.0f} MiB at most\n")
        assert asyncio.run(with_kube(world.state, versions)) == written
        assert not {what: count for what, count in calls.items() if count and what.split()[-1] in ("PUT", "PATCH")}
        assert calls["managedhsm GET"] <= again
        assert calls["management LIST"] <= PLACES * (clock / RESYNC_SECONDS + 2)
        second = operator.memory("VmHWM")
    looked = subprocess.run(
        [sys.executable, "-m", "tests.bench.settled_looks"],
        cwd=ROOT, env=world.environment, stdout=subprocess.PIPE, check=True, timeout=600,
    )  # fmt: skip
    p95 = json.loads(looked.stdout)
    sys.stdout.write(
        f"  a settled look, 95th percentile: {p95['cpu']:.1f} ms of CPU, {p95['clock']:.1f} by the clock\n"
    )
    assert asyncio.run(with_kube(world.state, versions)) == written
    assert max(first, second) <= 250
    assert settling <= 60
    assert restarting <= 10
    assert p95["cpu"] <= 20
