"""Archives, summarized once on the whole sandbox: each document has one result, whichever group is killed."""

import json
import time
from pathlib import Path

import pytest

from azure_sandbox.names import LOCATION, RESOURCE_GROUP, SUBSCRIPTION
from tests.e2e.conftest import Cluster, cluster
from tests.support.archive import Archive, every_document_once

__all__ = ["cluster"]

pytestmark = pytest.mark.bench

GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
CONTAINER_GROUP = {
    "subscriptionID": SUBSCRIPTION,
    "resourceGroup": RESOURCE_GROUP,
    "location": LOCATION,
    "subnetIDs": [f"{GROUPS}/providers/Microsoft.Network/virtualNetworks/vnet/subnets/groups"],
}


def test_a_killed_shard_goes_on_and_every_document_has_one_result(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "archive", documents=40, words=500, shards=2)
    archive.apply(ttlSecondsAfterFinished=20)
    before = archive.kill(0)
    archive.until_complete(150)

    resource = cluster.get("csum", archive.name)
    header, row = cluster.kubectl("get", "csum", archive.name).splitlines()
    assert "DOCUMENTS" in header.split()
    assert row.split()[:5] == [archive.name, "True", "Completed", "0", "40/40"]
    assert resource["status"]["batch"]["shards"] == "2/2"
    assert cluster.condition("Attested", archive.name)["status"] == "True"  # type: ignore[index]

    after = archive.blobs()
    assert {name: after[name] for name in before} == before, "a result was written twice"
    results = archive.results(tmp_path / "results")
    assert every_document_once(archive, results)
    # Text of the documents is what it was made of, and nothing of it lies in storage or in the cluster.
    assert all(result["summary"] for result in results)
    assert results[0]["summary"][:40] not in json.dumps(resource)

    cluster.wait_for("the finished batch to be deleted", lambda: not _exists(cluster, archive.name))
    cluster.wait_for("its groups to be gone", lambda: len(cluster.groups()) == 1)
    assert archive.blobs() == after


def test_groups_through_resource_manager_end_too_and_leave_nothing(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "direct-archive", documents=6, words=60, shards=2)
    before = len(cluster.groups())
    archive.apply({"containerGroup": CONTAINER_GROUP})
    archive.until_complete(150)
    assert archive.status["documents"] == "6/6"
    assert every_document_once(archive, archive.results(tmp_path / "results"))
    cluster.wait_for("the groups that are done to be gone", lambda: len(cluster.groups()) == before)
    cluster.kubectl("delete", "csum", archive.name, "--timeout=60s")


def _exists(cluster: Cluster, name: str) -> bool:
    return bool(cluster.kubectl("get", "csum", name, "--ignore-not-found", "-o", "name"))


def test_two_thousand_documents_over_four_shards_one_killed_twice(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "archive", documents=2000, words=60, shards=4)
    began = time.monotonic()
    archive.apply()
    first = archive.kill(1)
    second = archive.kill(1)
    archive.until_complete(900)
    seconds = time.monotonic() - began
    after = archive.blobs()
    results = archive.results(tmp_path / "results")
    print(  # noqa: T201 - what it measures
        f"\n2,000 documents, 4 shards, {archive.killed} kills at {len(first)} and {len(second)} results of the shard: "
        f"{len(results)} results in {seconds:.0f} s from apply to Complete; status {archive.status}"
    )
    assert every_document_once(archive, results)
    assert {name: after[name] for name in {**first, **second}} == {**first, **second}
