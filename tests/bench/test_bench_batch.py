"""An archive of thousands of documents in shards on the whole sandbox, a group killed twice."""

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, cluster
from tests.support.archive import Archive, every_document_once

__all__ = ["cluster"]

pytestmark = pytest.mark.bench


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
        f"\n2,000 documents, 4 shards, one killed at {len(first)} and {len(second)} results of the shard: "
        f"{len(results)} results in {seconds:.0f} s from apply to Complete; status {archive.status}"
    )
    assert every_document_once(archive, results)
    assert {name: after[name] for name in {**first, **second}} == {**first, **second}
