"""Archives on the whole sandbox: thousands of documents, a group killed twice; and groups through Resource Manager."""

import time
from pathlib import Path

import pytest

from azure_sandbox.names import LOCATION, RESOURCE_GROUP, SUBSCRIPTION
from tests.e2e.conftest import GRANT, Cluster, cluster
from tests.support.archive import Archive, every_document_once

__all__ = ["cluster"]

pytestmark = pytest.mark.bench


def test_groups_through_resource_manager_end_too_and_leave_nothing(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "direct-archive", documents=[6], words=60, shards=2)
    place = {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": RESOURCE_GROUP,
        "location": LOCATION,
        "subnetIDs": GRANT["spec"]["subnets"],
    }
    archive.apply({"containerGroup": place})
    archive.until_complete(400)
    assert every_document_once(archive, archive.results(tmp_path / "results"))
    cluster.wait_for("the groups that are done to be gone", lambda: not cluster.groups(archive.name))
    cluster.kubectl("delete", "csum", archive.name, "--timeout=60s")


def test_two_thousand_documents_over_four_shards_one_killed_twice(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "archive", documents=[2000], words=60, shards=4)
    began = time.monotonic()
    archive.apply()
    first = archive.kill(1)
    second = archive.kill(1)
    archive.until_complete(900)
    seconds = time.monotonic() - began
    after = archive.blobs()
    results = archive.results(tmp_path / "results")
    print(  # noqa: T201 - what it measures
        f"\n2,000 documents, 4 shards, one killed at {len(first)} and {len(second)} results of the shard: "
        f"{len(results)} results in {seconds:.0f} s from apply to Complete; status {archive.status}"
    )
    assert every_document_once(archive, results)
    assert {name: after[name] for name in {**first, **second}} == {**first, **second}
