"""Events about a resource: one object for each thing that is said, and a count of how often."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confidential_summarizer.api.names import MANAGED_BY
from confidential_summarizer.errors import Conflict, SummarizerError
from confidential_summarizer.kube.api import EVENT, KubernetesAPI

logger = logging.getLogger(__name__)

MAX_MESSAGE = 1024
"""Characters that the API server takes in an event's message."""


@dataclass(frozen=True)
class Events:
    """Posts events in the namespaces of their resources."""

    kube: KubernetesAPI

    async def __call__(self, resource: Mapping[str, Any], *, normal: bool, reason: str, message: str) -> None:
        """Post an event, or count it up; where that is not possible, say so in the log and go on."""
        try:
            await self._post(resource, "Normal" if normal else "Warning", reason, message[:MAX_MESSAGE])
        except SummarizerError as error:
            logger.info("no event for %s: %s", resource["metadata"]["name"], error)

    async def _post(self, resource: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        meta = resource["metadata"]
        digest = hashlib.sha256(f"{meta.get('uid')}/{kind}/{reason}/{message}".encode()).hexdigest()[:16]
        name, namespace = f"{meta['name'][:200]}.{digest}", meta["namespace"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": resource.get("apiVersion"),
                "kind": resource.get("kind"),
                "name": meta["name"],
                "namespace": namespace,
                "uid": meta.get("uid"),
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": MANAGED_BY},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self.kube.create(event)
        except Conflict:
            before = await self.kube.get(EVENT, namespace, name) or {}
            again = {"lastTimestamp": now, "count": int(before.get("count") or 0) + 1}
            await self.kube.merge(EVENT, namespace, name, again)
