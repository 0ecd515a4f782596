"""What storage holds of the results, and what comes of a group whose blobs somebody replaced."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from azure_sandbox.names import BLOB_HOST, SEALED
from confidential_summarizer.sealing import read_manifest, seal
from tests.e2e.conftest import Cluster, summaries, texts
from tests.support.forged_images import swap_content

pytestmark = pytest.mark.e2e

PLANTED = "The planted contract was terminated by both parties on the first of May. "


def fetch(cluster: Cluster, out: Path, key: Path) -> tuple[int, list[str]]:
    resource = cluster.home / "demo" / "contracts.yaml"
    fetched = cluster.csum("results", "fetch", resource, "--identity", key, "--out", out, "-o", "json")
    return fetched.returncode, json.loads(fetched.stdout)["written"]


def test_the_owner_takes_home_what_the_group_wrote_and_whoever_has_the_storage_reads_none_of_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    code, written = fetch(cluster, tmp_path / "results", cluster.home / "demo" / "results.key")
    assert code == 0
    results = [json.loads(Path(file).read_text()) for file in sorted(written)]
    shown = [summary["summary"] for summary in summaries(cluster)]
    assert sorted(result["summary"] for result in results) == sorted(shown)

    storage = b"".join(file.read_bytes() for file in cluster.demo.state.blobs.rglob("*") if file.is_file())
    assert storage.count(b"age-encryption.org/v1\n-> X25519") >= len(results)
    for result in results:
        assert result["summary"][:60].encode() not in storage
        assert result["document"].encode() not in storage
    assert cluster.csum("results", "new-key", tmp_path / "other.key").returncode == 0
    assert fetch(cluster, tmp_path / "stolen", tmp_path / "other.key") == (6, [])


def forged_documents(cluster: Cluster, folder: Path) -> Path:
    """Put other files behind the owner's own header, which takes no key."""
    (folder / "forged").mkdir()
    (folder / "forged" / "forged.txt").write_text(PLANTED * 30)
    shutil.copy(cluster.home / "demo" / "contracts.img", folder / "image")
    swap_content(folder / "image", folder / "forged")
    return folder / "image"


def edited_models(cluster: Cluster, folder: Path) -> Path:
    """Seal other models with their own key, which the cluster admin has."""
    shutil.copytree(cluster.home / "demo" / "models", folder / "models")
    card = folder / "models" / "bart-demo" / "tokenizer.json"
    card.write_text(card.read_text().replace('"decoder"', '"decoder" ', 1))
    assert read_manifest(folder / "models") != read_manifest(cluster.home / "demo" / "models")
    seal(folder / "models", folder / "image", (cluster.home / "demo" / "models.key").read_bytes())
    return folder / "image"


def start_anew(cluster: Cluster) -> None:
    cluster.kubectl("delete", "pods", "--all", "--wait=false")


@pytest.mark.parametrize(
    ("blob", "replace", "cause"),
    [
        ("contracts", forged_documents, "the documents are 1 files that differ from what the policy pins"),
        ("models", edited_models, "the models are "),
    ],
)
def test_a_blob_that_somebody_replaced_ends_in_a_condition_that_names_the_cause(
    cluster: Cluster, tmp_path: Path, blob: str, replace: Callable[[Cluster, Path], Path], cause: str
) -> None:
    url = f"https://{BLOB_HOST}/{SEALED}/{blob}.img"
    assert cluster.csum("push", replace(cluster, tmp_path), url, "--overwrite", storage=True).returncode == 0
    start_anew(cluster)
    try:
        failed = cluster.wait_for_reason("SummarizingFailed")
        assert (failed["status"], cause in failed["message"]) == ("False", True), failed
        assert "pin" in failed["message"]
        row = cluster.kubectl("get", "csum", "contracts", "--no-headers").split()
        assert row[1:3] == ["False", "SummarizingFailed"]
        why = cluster.csum("why", "legal/contracts")
        assert why.returncode == 1
        assert cause in " ".join(why.stdout.split())
        everything = cluster.everything()
        blobs = everything.pop("blobs")
        assert [name for name, content in everything.items() if PLANTED.encode() in content] == []
        assert [text for text in texts() for content in (blobs, *everything.values()) if text in content] == []
    finally:
        image = cluster.home / "demo" / f"{blob}.img"
        assert cluster.csum("push", image, url, "--overwrite", storage=True).returncode == 0
        start_anew(cluster)
        cluster.wait_for_reason("Ready")
        cluster.wait_for("the old group to be gone", lambda: len(cluster.groups()) == 1)
