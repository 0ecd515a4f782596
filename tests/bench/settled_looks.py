"""One look after the other at resources that are settled, in a process of its own, so that each look can be timed.

`python -m tests.bench.settled_looks` prints a JSON object: the 95th percentile of the milliseconds that a look takes,
of this process's CPU and by the clock.
"""

import asyncio
import json
import statistics
import time

from confidential_summarizer.kube import SUMMARIZER
from confidential_summarizer.kube.events import Events
from confidential_summarizer.reconcile.run import Reconciler, Result
from confidential_summarizer.settings import Settings
from confidential_summarizer.wiring import clients


async def main() -> None:
    async with clients(Settings()) as edges:
        reconciler = Reconciler(edges, Events(edges.kube))
        listed = await edges.kube.list(SUMMARIZER, "", metadata_only=True)
        keys = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed]
        for key in keys:  # measures images, opens connections
            await reconciler.visit(*key)
        took = []
        for key in keys:
            cpu, clock = time.process_time(), time.perf_counter()
            visit = await reconciler.visit(*key)
            took.append((time.process_time() - cpu, time.perf_counter() - clock))
            assert visit.result is Result.DONE
    p95 = [1000 * statistics.quantiles(times, n=20)[-1] for times in zip(*took, strict=True)]
    print(json.dumps(dict(zip(("cpu", "clock"), p95, strict=True))))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
