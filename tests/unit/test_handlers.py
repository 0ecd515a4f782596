"""What Kopf is told to watch, and what it does with what it hears."""

from typing import Any

import kopf
import pytest
from kopf import Memo

from confidential_summarizer import handlers


class Rung:
    """Keeps what the handlers tell the loops."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def see(self, metadata: Any) -> None:
        self.heard.append(metadata["name"])

    def ring(self, namespace: str, name: str) -> None:
        self.heard.append((namespace, name))

    def ring_all(self) -> None:
        self.heard.append("all")


@pytest.mark.parametrize("kind", ["pods", "deployments"])
async def test_the_server_leaves_out_what_is_not_ours(kind: str) -> None:
    settings = kopf.OperatorSettings()
    await handlers.configure(settings)
    assert settings.watching.label_selectors[kind] == "app.kubernetes.io/managed-by=confidential-summarizer"
    assert settings.queueing.worker_limit is None  # no object waits for another one


async def test_every_event_reaches_the_loop_that_it_concerns() -> None:
    loops = Rung()
    memo = Memo(loops=loops)
    await handlers.see({"name": "contracts"}, memo)
    await handlers.ring("legal", {"app.kubernetes.io/instance": "contracts"}, memo)
    await handlers.regrant(memo)
    assert loops.heard == ["contracts", ("legal", "contracts"), "all"]
