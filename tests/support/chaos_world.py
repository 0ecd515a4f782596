"""A sandbox for chaos: real Kubernetes and a real operator, groups that cost nothing, and things of other people."""

import base64
import hashlib
import json
import os
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from azure_sandbox import lifecycle, processes
from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, Principals, identity_resource_id
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.certificates import CertificateAuthority
from azure_sandbox.names import ATTESTATION, CONTROL, LOCATION, RESOURCE_GROUP, SUBSCRIPTION, TENANT, VAULT
from azure_sandbox.processes import Command
from azure_sandbox.state import SandboxState, write_private
from azure_sandbox.virtual_node import SUBNET
from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.targets.ownership import OWNER_TAG, OWNER_UID_TAG
from tests.support.azure_client import BODY, GROUPS
from tests.support.guest_images import layer, push, registry
from tests.support.kubectl import Kubectl
from tests.support.resources import document, grant

ROOT = Path(__file__).parents[2]
NAMESPACE = "chaos"
OPERATOR_PROCESS = "operator"
MANAGER = "https://management.azure.com"
CONTROLS = f"https://{CONTROL}"
KEYS = f"https://{VAULT}/keys"
VERSIONS = {MANAGER: "2023-05-01", f"https://{VAULT}": "7.4"}
FOREIGN_GROUPS = ("theirs", "chaos-arm-0-00000000-0")


class World:
    """The sandbox, and hands and eyes that meet no fault: they look at files, and call when nothing fails."""

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self.kubectl = Kubectl(state)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": state.proxy_url}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(state.ca_bundle))),
        )

    def call(self, method: str, url: str, who: str = OPERATOR, body: Any = None) -> Any:
        """Call a service of Azure as an application."""
        base = "/".join(url.split("/")[:3])
        audience = "https://managedhsm.azure.net" if "managedhsm" in base else MANAGER
        tokens = Tokens(SigningKey(self.state.home / "azure" / "login.pem"))
        token = tokens.issue(Principals(self.state.home / "azure" / "principals.json")[who], audience).value
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        if not url.startswith(f"{CONTROLS}/sandbox/"):
            url = f"{url}?api-version={VERSIONS[base]}"
        data = None if body is None else json.dumps(body).encode()
        with self._opener.open(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def fault(self, **fault: Any) -> None:
        """Let something fail."""
        self.call("POST", f"{CONTROLS}/sandbox/faults", body=fault)

    def met(self) -> dict[str, int]:
        """How many requests have met a fault, by service and kind."""
        return dict(self.call("GET", f"{CONTROLS}/sandbox/faults")["met"])

    def delays(self) -> list[float]:
        """The delays of the faults that are still to come."""
        return [one["delay"] for one in self.call("GET", f"{CONTROLS}/sandbox/faults")["faults"]]

    def calm(self) -> None:
        """Let nothing fail any more."""
        self.call("DELETE", f"{CONTROLS}/sandbox/faults")

    def groups(self) -> dict[str, dict[str, Any]]:
        """The container groups as Resource Manager's stand-in keeps them, by name."""
        found = {}
        for file in self.state.groups.glob("*/resource.json"):
            with suppress(FileNotFoundError, ValueError):  # it goes, or is being written
                found[file.parent.name] = json.loads(file.read_text())
        return found

    def keys(self) -> dict[str, dict[str, Any]]:
        """The vault's keys as its stand-in keeps them, by name."""
        path = self.state.home / "azure" / "vaults" / f"{VAULT}.json"
        return {entry["name"]: entry for entry in json.loads(path.read_text())["keys"]}

    def resources(self) -> dict[str, dict[str, Any]]:
        """Our resources by name."""
        return {one["metadata"]["name"]: one for one in self._list("csum")}

    def pods(self) -> dict[str, dict[str, Any]]:
        """The pods by UID."""
        return {one["metadata"]["uid"]: one for one in self._list("pods")}

    def _list(self, kind: str) -> list[dict[str, Any]]:
        found = self.kubectl.get("-n", NAMESPACE, kind) or {}  # nothing is printed where there is nothing
        return list(found.get("items", ()))

    def log(self) -> str:
        """All that the operators have said so far."""
        return self.state.log(OPERATOR_PROCESS).read_text(errors="replace")

    def start_operator(self) -> None:
        """Run the operator, which reaches the API server through the proxy, so that its watches can be cut."""
        kubeconfig = self.state.home / "operator.kubeconfig"
        admin = yaml.safe_load(self.state.kubeconfig.read_text())
        for cluster in admin["clusters"]:
            cluster["cluster"]["proxy-url"] = self.state.proxy_url
        write_private(kubeconfig, yaml.safe_dump(admin))
        principal = Principals(self.state.home / "azure" / "principals.json")[OPERATOR]
        environment = {
            **self.state.client_environment(),
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(kubeconfig),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_CLIENT_SECRET": principal.secret or "",
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            "CSUM_CACHE": str(self.state.home / "layers"),
            "CSUM_HTTP_PORT": str(self.state.port(OPERATOR_PROCESS)),
            "CSUM_LOG_FORMAT": "json",
        }
        arguments = [sys.executable, "-m", "tests.support.hurried_operator"]
        processes.start(self.state, Command(OPERATOR_PROCESS, arguments, environment))

    def kill_operator(self) -> None:
        """Kill it as a lost node does."""
        identity = processes.running(self.state, OPERATOR_PROCESS)
        assert identity is not None, "the operator ended by itself"
        os.kill(identity.pid, signal.SIGKILL)
        while processes.running(self.state, OPERATOR_PROCESS):
            time.sleep(0.02)


@contextmanager
def world(home: Path) -> Iterator[World]:
    """Bring up the sandbox with what other people have in it, and no operator."""
    state = SandboxState(home)
    state.prepare()
    CertificateAuthority.open(state.ca)  # the groups trust it from their first request
    with registry(state.registry) as address:
        for name in ("summarizer", "aci/encfs"):
            push(address, name, [layer({f"bin/{name.replace('/', '-')}": b"x" * 5000})], {"Cmd": ["/bin/x"]})
    try:
        arguments = [sys.executable, "-m", "tests.support.stand_ins_process", str(state.home), "attested"]
        processes.start(
            state, Command(lifecycle.STAND_INS, arguments, {**state.client_environment(), "PYTHONPATH": str(ROOT)})
        )
        processes.wait_until(state, lifecycle.STAND_INS, lifecycle.StandIns(state).is_ready, 60)
        lifecycle.up(state, lambda _: None)
        made = World(state)
        _furnish(made)
        yield made
    finally:
        lifecycle.down(state, lambda _: None)


def resource(name: str, *, replicas: int = 1, words: int = 100, key: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a resource; its name's first part is its target."""
    given = document(
        image="party1.azurecr.io/summarizer:latest",
        sidecars={"encfs": "mcr.microsoft.com/aci/encfs:latest"},
        summarizer={"models": ["bart"], "maxWords": words},
        replicas=replicas,
        identity={"resourceID": identity_resource_id(SUMMARIZER)},
    )
    management = {"management": "Import", "secretRef": {"name": "material", "key": "key"}}
    given["spec"]["fileSystems"][0]["key"] |= {"name": f"{name}-key", **management, **(key or {})}
    if name.startswith("arm"):
        place = {"subscriptionID": SUBSCRIPTION, "resourceGroup": RESOURCE_GROUP, "location": LOCATION}
        given["spec"]["target"] = {"containerGroup": {**place, "subnetIDs": [SUBNET]}}
    return {**{k: given[k] for k in ("apiVersion", "kind", "spec")}, "metadata": {"name": name, "namespace": NAMESPACE}}


def _furnish(world: World) -> None:
    """Our kinds and grants; and what is not ours, under names that are in our way."""
    kubectl = world.kubectl
    kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "crd", "--all")
    kubectl("create", "namespace", NAMESPACE)
    data = {"key": base64.b64encode(hashlib.sha256(b"k").digest()).decode()}
    meta = {"name": "material", "namespace": NAMESPACE, "labels": {USE_LABEL: "key"}}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})
    kubectl.apply(
        grant(
            NAMESPACE,
            identities=[identity_resource_id(SUMMARIZER)],
            registries=["party1.azurecr.io", "mcr.microsoft.com"],
            subnets=[SUBNET],
        )
    )
    kubectl("-n", NAMESPACE, "create", "deployment", "taken", "--image=theirs", "--replicas=0")
    kubectl("-n", NAMESPACE, "create", "configmap", "taken-policy", "--from-literal=theirs=1")
    roles = world.call("GET", f"{CONTROLS}/sandbox/role-assignments")["assignments"]
    operator = Principals(world.state.home / "azure" / "principals.json")[OPERATOR].object_id
    roles.append({"object_id": operator, "role": "Crypto User", "scope": "/"})
    world.call("PUT", f"{CONTROLS}/sandbox/role-assignments", body={"assignments": roles})
    uid = "99999999-0000-4000-8000-000000000000"
    for name, tags in zip(
        FOREIGN_GROUPS, ({"team": "theirs"}, {OWNER_TAG: "chaos/arm-0", OWNER_UID_TAG: uid}), strict=True
    ):
        world.call("PUT", f"{MANAGER}{GROUPS}/{name}", body={**BODY, "tags": tags})
    claim = {"claim": "x-ms-sevsnpvm-hostdata", "equals": "ab" * 32}
    policy = {"version": "1.0.0", "anyOf": [{"authority": f"https://{ATTESTATION}", "allOf": [claim]}]}
    key = {
        "key": {"kty": "oct-HSM", "k": base64.urlsafe_b64encode(b"t" * 32).decode().rstrip("=")},
        "hsm": True,
        "attributes": {"exportable": True},
        "release_policy": {"data": base64.urlsafe_b64encode(json.dumps(policy).encode()).decode().rstrip("=")},
    }
    world.call("PUT", f"{KEYS}/theirs", OWNER, key)
