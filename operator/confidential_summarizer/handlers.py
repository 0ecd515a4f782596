"""Kopf, and nothing else: what the API server tells rings the loop of the resource that it concerns.

Kopf watches, reconnects and hands events over. No handler does work, waits or writes: it would do so inside one of
Kopf's workers, in the way of everything else that the worker has to tell (see reconcile/loops.py).
"""

from collections.abc import Mapping
from typing import Any

import kopf

from confidential_summarizer.api.names import (
    GRANT_PLURAL,
    GROUP,
    INSTANCE_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLURAL,
    VERSION,
)

RESOURCE = (GROUP, VERSION, PLURAL)


class NoHistory(kopf.DiffBaseStorage):
    """Keeps nothing of what an object was.

    No handler asks what changed; to know it, Kopf would copy each object that it is told of, several times.
    """

    def build(self, **_: Any) -> Any:
        """Take nothing of the object as it is."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Know nothing of the object as it was."""

    def store(self, **_: Any) -> None:
        """Write nothing into the object."""


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Tell Kopf how to watch; reference: "Configuration" in Kopf's documentation."""
    # Managed clusters drop idle watches without a word; a short life makes that a hiccup instead of silence.
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    # All of a thousand resources at once, as text and as objects, would be most of what the process ever needs.
    settings.watching.chunk_size = 100
    # The API server leaves out what is not ours: other people's pods would come through here one by one.
    for kind in ("pods", "deployments", "jobs"):
        settings.watching.label_selectors[kind] = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    # A worker is one event handed over. It has nothing to stay for.
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = NoHistory()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.peering.standalone = True
    # The kinds are known: no need for the right to list every CRD and namespace of the cluster.
    settings.scanning.disabled = True
    # Our own end is watched by whoever runs the process.
    settings.process.ultimate_exiting_timeout = None


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    """Stop all work before Kopf looks for tasks that are left."""
    await memo.loops.close()


@kopf.on.event(*RESOURCE)
async def see(meta: Mapping[str, Any], memo: Any, **_: Any) -> None:
    """Tell the loop of a resource what it looks like now."""
    memo.loops.see(meta)


@kopf.on.event("v1", "pods", labels={MANAGED_BY_LABEL: MANAGED_BY})
@kopf.on.event("apps", "v1", "deployments", labels={MANAGED_BY_LABEL: MANAGED_BY})
@kopf.on.event("batch", "v1", "jobs", labels={MANAGED_BY_LABEL: MANAGED_BY})
async def ring(namespace: str | None, labels: Mapping[str, str], memo: Any, **_: Any) -> None:
    """Ring the loop of the resource that something was deployed for."""
    memo.loops.ring(namespace or "", labels.get(INSTANCE_LABEL, ""))


@kopf.on.event(GROUP, VERSION, GRANT_PLURAL)
async def regrant(memo: Any, **_: Any) -> None:
    """Let every resource look at the grants again when one of them changes."""
    memo.loops.ring_all()


async def watch(loops: Any, namespaces: list[str]) -> None:
    """Hand over what the API server tells, until this is cancelled or the process is told to stop."""
    await kopf.operator(memo=kopf.Memo(loops=loops), clusterwide=not namespaces, namespaces=namespaces, standalone=True)
