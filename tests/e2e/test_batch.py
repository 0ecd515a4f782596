"""An archive of an image a shard, summarized once on the whole sandbox: one result each, though a group is killed."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster
from tests.support.archive import Archive, every_document_once

pytestmark = pytest.mark.e2e


def test_a_killed_shard_goes_on_and_every_document_has_one_result(cluster: Cluster, tmp_path: Path) -> None:
    archive = Archive.sealed(cluster, tmp_path, "archive", documents=(20, 20), words=500, shards=2)
    archive.apply()
    before = archive.kill(0)
    archive.until_complete(400)

    resource = cluster.get("csum", archive.name)
    header, row = cluster.kubectl("get", "csum", archive.name).splitlines()
    assert "DOCUMENTS" in header.split()
    assert row.split()[:5] == [archive.name, "True", "Completed", "0", "40/40"]
    assert resource["status"]["batch"]["shards"] == "2/2"
    assert cluster.condition("Attested", archive.name)["status"] == "True"  # type: ignore[index]

    assert [shard["documents"] for shard in resource["status"]["batch"]["told"]] == [20, 20]

    after = archive.blobs()
    assert {name: after[name] for name in before} == before, "a result was written twice"
    results = archive.results(tmp_path / "results")
    assert every_document_once(archive, results)
    # Text of the documents is what it was made of, and nothing of it lies in storage or in the cluster.
    assert all(result["summary"] for result in results)
    assert results[0]["summary"][:40] not in json.dumps(resource)

    patch = json.dumps({"spec": {"batch": {"ttlSecondsAfterFinished": 0}}})
    cluster.kubectl("patch", "csum", archive.name, "--type=merge", "-p", patch)
    cluster.wait_for("the finished batch to be deleted", lambda: not _exists(cluster, archive.name))
    cluster.wait_for("its groups to be gone", lambda: not cluster.groups(archive.name))
    assert archive.blobs() == after


def _exists(cluster: Cluster, name: str) -> bool:
    return bool(cluster.kubectl("get", "csum", name, "--ignore-not-found", "-o", "name"))
