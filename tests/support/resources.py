"""Resources to start from; a test changes what it is about."""

import copy
from typing import Any

from confidential_summarizer.api.names import API_VERSION, GRANT_KIND, KIND
from confidential_summarizer.api.resource import ConfidentialSummarizer

IDENTITY = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/summarizer"
)
VAULT = "party2.managedhsm.azure.net"
ATTESTATION = "sharedeus2.eus2.attest.azure.net"
IMAGE = "party1.azurecr.io/summarizer@sha256:" + "a" * 64


def spec(**changes: Any) -> dict[str, Any]:
    """Return a spec that works, with top-level fields changed; None removes one."""
    document: dict[str, Any] = {
        "image": IMAGE,
        "replicas": 1,
        "fileSystems": [
            {
                "name": "documents",
                "role": "Documents",
                "blobURL": "https://party2.blob.core.windows.net/sealed/contracts.img",
                "key": {"name": "contracts-key", "vault": VAULT, "attestation": ATTESTATION},
            }
        ],
        "identity": {"resourceID": IDENTITY},
        "target": {"virtualNode": {}},
    }
    document.update(copy.deepcopy(changes))
    return {key: value for key, value in document.items() if value is not None}


def document(*, status: dict[str, Any] | None = None, generation: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a resource as the API server holds it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "contracts", "namespace": "legal", "uid": "uid-1", "generation": generation},
        "spec": spec(**changes),
        "status": status or {"observedGeneration": -1},
    }


def grant(*namespaces: str, **changes: Any) -> dict[str, Any]:
    """Return a grant of everything that `spec` names, with fields of it changed; None removes one."""
    fields: dict[str, Any] = {
        "namespaces": {"names": list(namespaces)},
        "vaults": [{"host": VAULT, "import": True}],
        "attestationServices": [ATTESTATION],
        "identities": [IDENTITY],
        "subscriptions": ["00000000-0000-0000-0000-000000000001"],
        "registries": ["party1.azurecr.io"],
        "blobHosts": ["party2.blob.core.windows.net"],
    }
    fields.update(copy.deepcopy(changes))
    return {
        "apiVersion": API_VERSION,
        "kind": GRANT_KIND,
        "metadata": {"name": "-".join(n.replace("*", "all") for n in namespaces)},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def resource(**changes: Any) -> ConfidentialSummarizer:
    """Return a parsed resource."""
    return ConfidentialSummarizer.parse(document(**changes))
