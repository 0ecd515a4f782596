"""Phase: may the resource use what it names? Deny by default; until somebody grants it, nothing outside is touched."""

import json
from collections.abc import Sequence
from typing import Any

from confidential_summarizer.api.names import GRANT_KIND
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import Status
from confidential_summarizer.errors import NotGranted
from confidential_summarizer.kube import GRANT
from confidential_summarizer.reconcile.authorization import Need, additions
from confidential_summarizer.reconcile.clients import Clients


async def check_grants(clients: Clients, resource: ConfidentialSummarizer) -> None:
    """Stop before anything outside of the namespace is touched, unless all of it is granted.

    Raises:
        NotGranted: The message names what is missing, and what a cluster admin has to add.
    """
    missing = await clients.grants.missing(resource)
    if missing:
        raise NotGranted(not_granted(resource.metadata.namespace, missing))


def was_granted(status: Status) -> bool:
    """Tell whether something may have been made for a resource of this status, although it is not granted now.

    Only the operator writes status, and it gets as far as a policy only after the grants were checked.
    """
    derived = status.trust is not None and status.trust.host_data is not None
    return derived or bool(status.placements or status.replicas)


def not_granted(namespace: str, missing: Sequence[Need]) -> str:
    """Say what is missing, and what to add."""
    things = "; ".join(need.words for need in missing)
    # JSON is YAML: it stays whole on the one line that a condition has.
    lines = json.dumps(grant_manifest(namespace, missing)["spec"])
    return (
        f"no {GRANT_KIND} lets namespace {namespace} use {things}. If it may, a cluster admin adds this to a "
        f"{GRANT_KIND} (YAML): spec: {lines}"
    )


def grant_manifest(namespace: str, missing: Sequence[Need]) -> dict[str, Any]:
    """Return a grant that allows one namespace what is missing, ready to be created."""
    return {
        "apiVersion": GRANT.api_version,
        "kind": GRANT.kind,
        "metadata": {"name": namespace},
        "spec": {"namespaces": {"names": [namespace]}, **additions(missing)},
    }
