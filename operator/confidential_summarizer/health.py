"""What the probes ask: is this process of use, and would a restart help?"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.kube import SUMMARIZER, KubernetesAPI, Object
from confidential_summarizer.reconcile.loops import VISIT_SECONDS, Loops
from confidential_summarizer.settings import Settings

logger = logging.getLogger(__name__)

COMPARE_SECONDS = 30.0
"""Between two comparisons of what the watch told with what there is; two in a row that differ are no delay."""
STUCK_SECONDS = VISIT_SECONDS * 2
"""Longest that a resource may be worked on, or wait for its turn: beyond it, a restart helps more than patience."""


class Stage(StrEnum):
    """How far the process has come; /readyz says it."""

    STARTING = "starting"
    STANDBY = "standby: another process works"
    WAITING_FOR_CRD = "waiting for the CustomResourceDefinition: install it with helm, or kubectl apply -f crds/"
    WATCHING = "working: no answer of the watch yet"
    LEADING = "working"


@dataclass
class Health:
    """What is known of the process's own state.

    Attributes:
        unheard: Resources of which the watch has not told what the API server says, twice in a row.
    """

    stage: Stage = Stage.STARTING
    loops: Loops | None = None
    unheard: Sequence[str] = ()
    _suspects: frozenset[str] = field(default_factory=frozenset)

    @property
    def ready(self) -> bool:
        """Tell whether it works, or stands by to."""
        return self.stage in (Stage.STANDBY, Stage.LEADING) and not self.unheard

    def complaint(self) -> str:
        """Return why a restart would help; empty if it would not."""
        if self.unheard:
            return f"the watch is deaf: it does not tell of {', '.join(self.unheard[:3])}"
        busy = [loop.busy_since for loop in self.loops or () if loop.busy_since is not None]
        stuck = [since for since in busy if time.monotonic() - since > STUCK_SECONDS]
        return f"{len(stuck)} resources have been worked on for more than {STUCK_SECONDS:.0f} s" if stuck else ""

    def heard(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Compare what there is with what the watch has told."""
        missing = {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            for item in listed
            if self.loops is not None and not self.loops.knows(item["metadata"])
        }
        self.unheard = sorted(missing & self._suspects)
        self._suspects = frozenset(missing)
        if self.stage is Stage.WATCHING and not missing:
            self.stage = Stage.LEADING

    async def compare(self, kube: KubernetesAPI, namespaces: Sequence[str]) -> None:
        """Compare again and again; at first often, as a watch tells of a few resources within a second."""
        wait = 1.0
        while True:
            try:
                self.heard(await every_resource(kube, namespaces))
            except SummarizerError as error:
                logger.warning("the resources cannot be listed: %s", error)
            await asyncio.sleep(COMPARE_SECONDS if self.stage is Stage.LEADING else wait)
            wait = min(2 * wait, 8.0)


async def every_resource(kube: KubernetesAPI, namespaces: Sequence[str]) -> list[Object]:
    """Return the metadata of all resources in the watched namespaces; in all, where none is named."""
    listed = [await kube.list(SUMMARIZER, one, metadata_only=True) for one in namespaces or [""]]
    return [item for items in listed for item in items]


@asynccontextmanager
async def serving(settings: Settings, health: Health) -> AsyncIterator[None]:
    """Serve /healthz, /readyz and /metrics for as long as the operator runs."""

    async def healthz(_: web.Request) -> web.Response:
        complaint = health.complaint()
        return web.Response(text=f"{complaint or 'ok'}\n", status=503 if complaint else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text=f"{health.stage}\n", status=200 if health.ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    try:
        yield
    finally:
        await runner.cleanup()
