"""The operator as a process: the real Kopf on a real API server, with everything of Azure played by a folder of files.

`python -m tests.support.operator_process FOLDER`, with KUBECONFIG and the operator's settings in the environment.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from confidential_summarizer.api.resource import ConfidentialSummarizer, Metadata
from confidential_summarizer.api.target import Placement
from confidential_summarizer.errors import TransientError
from confidential_summarizer.health import Health, serving
from confidential_summarizer.kube.client import connect
from confidential_summarizer.logs import configure
from confidential_summarizer.operation import operate
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.settings import Settings
from confidential_summarizer.targets.observation import Group, GroupPhase, Observation
from confidential_summarizer.targets.target import Derivation, Desired, Plan, Removal
from tests.support.fakes import FakePages, FakeRegistry, FakeSigningKeys, FakeVault, everywhere

STUCK = "stuck-"
"""Resources of such a name cannot be removed."""


@dataclass
class Folder:
    """Groups as files, `NAMESPACE.NAME`; `puts` has a line for each time that some were made."""

    path: Path

    def of(self, metadata: Metadata) -> Path:
        return self.path / f"{metadata.namespace}.{metadata.name}"

    async def read(self, resource: ConfidentialSummarizer, derivation: Derivation | None = None) -> dict[str, Any]:
        file = self.of(resource.metadata)
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def plan(self, desired: Desired, live: dict[str, Any], now: datetime) -> Plan:
        wanted = {
            "host_data": desired.derivation.policy.host_data,
            "replicas": desired.resource.spec.replicas,
        }
        return Plan([] if live == wanted else [(desired.resource.metadata, wanted)])

    async def execute(self, plan: Plan) -> None:
        for metadata, wanted in plan.steps:  # type: ignore[misc]
            with (self.path / "puts").open("a") as puts:
                puts.write(f"{metadata.key}\n")
            self.of(metadata).write_text(json.dumps(wanted))

    async def observe(self, resource: ConfidentialSummarizer, live: dict[str, Any], host_data: str) -> Observation:
        count = live.get("replicas", 0)
        groups = [Group(f"g{i}", live["host_data"], GroupPhase.STARTING, f"10.0.0.{i}:8501") for i in range(count)]
        return Observation(resource.spec.replicas, groups, host_data)

    async def remove(self, metadata: Metadata, placements: Sequence[Placement], *, orphan: bool) -> Removal:
        if metadata.name.startswith(STUCK):
            if int(metadata.name.removeprefix(STUCK)) % 2:
                await asyncio.Event().wait()  # a connection that nobody answers
            raise TransientError("Resource Manager answers 503")
        self.of(metadata).unlink(missing_ok=True)
        return Removal()


def edges(kube: Any, folder: Path) -> Clients:
    """Return a world of Azure's services that all answer, and forget keys with their process."""
    targets = everywhere(Folder(folder))
    return Clients(kube, FakeRegistry().with_pull_secret, FakeVault().at, targets, FakePages(), FakeSigningKeys())


async def main(folder: Path) -> None:
    settings, health = Settings.from_environment(os.environ), Health()
    configure(settings.log_format, settings.log_level)
    async with connect() as kube, serving(settings, health):
        await operate(edges(kube, folder), settings, health)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
