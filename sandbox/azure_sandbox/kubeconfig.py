"""kubeconfig files: one cluster, one user, one context, with everything embedded."""

import base64
from pathlib import Path
from typing import Any

import yaml

from azure_sandbox.cluster_certificates import Leaf
from azure_sandbox.state import write_private
from confidential_summarizer.errors import SpecError

CONTEXT = "sandbox"


def write_kubeconfig(path: Path, server: str, authority: Path, user: str, leaf: Leaf) -> None:
    """Write the kubeconfig of one user, readable by its owner only.

    Args:
        path: Where to.
        server: The API server's URL.
        authority: PEM file that the server's certificate is checked against.
        user: Names the user in the file; the API server takes the name from the certificate.
        leaf: The user's client certificate.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(leaf.certificate),
                    "client-key-data": _base64(leaf.key),
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False))


def read_kubeconfig(path: Path) -> dict[str, Any]:
    """Read somebody else's kubeconfig.

    Raises:
        SpecError: It is not there, not YAML, or selects no context.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SpecError(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or not document.get("current-context"):
        raise SpecError(f"kubeconfig {path} selects no context; run `kubectl config use-context NAME` first")
    return document


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
