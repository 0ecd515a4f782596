"""The operator as a process of this machine, with exactly the rights that the chart gives its service account.

In a cluster with nodes the chart's Deployment runs it; the sandbox's only node is a virtual one. Here it gets the same
two tokens that its pod would: one for the API server, one to sign in to Azure with (workload identity).
"""

import subprocess
import sys
import urllib.request

import yaml

from azure_sandbox import processes
from azure_sandbox.azure.principals import OPERATOR, Principals
from azure_sandbox.control_plane import ControlPlane
from azure_sandbox.names import LOGIN, TENANT
from azure_sandbox.processes import Command
from azure_sandbox.state import SandboxState, cache_directory, write_private

SERVICE_ACCOUNT = "confidential-summarizer"
"""The chart's default."""
NAME = "operator"
TOKEN_HOURS = 12
"""Longer than a demo, shorter than a forgotten sandbox; `up` renews it."""
READY_SECONDS = 60.0
AZURE_AUDIENCE = "api://AzureADTokenExchange"
"""What Azure AD expects in a federated token (workload identity federation)."""


def operator_command(state: SandboxState, namespace: str) -> Command:
    """Return how to run the operator; its kubeconfig and its token file are written anew.

    Args:
        state: The sandbox's files.
        namespace: Where the chart is installed.
    """
    kubeconfig = state.home / "operator.kubeconfig"
    write_private(kubeconfig, _kubeconfig(state, _token(state, namespace)))
    federated = state.home / "operator.token"
    write_private(federated, _token(state, namespace, audience=AZURE_AUDIENCE))
    principal = Principals(state.home / "azure" / "principals.json")[OPERATOR]
    return Command(
        name=NAME,
        arguments=[sys.executable, "-m", "confidential_summarizer"],
        environment={
            **state.client_environment(),
            "KUBECONFIG": str(kubeconfig),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_FEDERATED_TOKEN_FILE": str(federated),
            "AZURE_AUTHORITY_HOST": f"https://{LOGIN}",
            "CSUM_CACHE": str(cache_directory() / "layers"),
            "CSUM_HTTP_PORT": str(state.port(NAME)),
        },
    )


def start(state: SandboxState, namespace: str) -> None:
    """Start the operator and wait until its probe answers.

    Raises:
        TransientError: It did not come up; the message holds the end of its log.
    """
    processes.start(state, operator_command(state, namespace))
    processes.wait_until(state, NAME, lambda: is_ready(state), READY_SECONDS, "the operator")


def _token(state: SandboxState, namespace: str, audience: str | None = None) -> str:
    command = [str(state.bin / "kubectl"), "-n", namespace, "create", "token", SERVICE_ACCOUNT]
    command += [f"--duration={TOKEN_HOURS}h", *([f"--audience={audience}"] if audience else [])]
    environment = {"KUBECONFIG": str(state.kubeconfig)}
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return result.stdout.strip()


def _kubeconfig(state: SandboxState, token: str) -> str:
    admin = yaml.safe_load(state.kubeconfig.read_text())
    for cluster in admin["clusters"]:
        if cluster["cluster"]["server"] == ControlPlane(state).url:
            cluster["cluster"]["proxy-url"] = state.proxy_url  # where `csum sandbox fault add kubernetes` takes hold
    admin["users"] = [{"name": NAME, "user": {"token": token}}]
    for context in admin["contexts"]:
        if context["name"] == admin["current-context"]:
            context["context"]["user"] = NAME
    document: str = yaml.safe_dump(admin, sort_keys=False)
    return document


def is_ready(state: SandboxState) -> bool:
    """Ask the operator's own probe."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{state.port(NAME)}/readyz", timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False
