"""An archive in shards on the whole sandbox: sealed, summarized as a batch, its groups killed, its results counted."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure_sandbox.names import ATTESTATION, BLOB_HOST, VAULT
from confidential_summarizer.cli.results import read_identities
from confidential_summarizer.sealing import read_manifest
from summarizer.output import result_name

if TYPE_CHECKING:
    from tests.e2e.conftest import Cluster

SPEECH = Path(__file__).parents[1] / "data" / "texts" / "lincoln-second-inaugural.txt"


@dataclass
class Archive:
    """One batch.

    Attributes:
        cluster: Where it runs, with the demo's models and key for results.
        name: Of the resource and of everything that belongs to it.
        shards: How many groups work on it, all at a time.
        content: SHA-256 of the documents' manifest.
        documents: How many there are.
        key: File of the key that seals them.
    """

    cluster: "Cluster"
    name: str
    shards: int
    content: str
    documents: int
    key: Path

    @classmethod
    def sealed(cls, cluster: "Cluster", folder: Path, name: str, documents: int, words: int, shards: int) -> "Archive":
        """Be the data owner: write documents of so many words, seal and push them."""
        files = folder / "documents"
        files.mkdir()
        speech = SPEECH.read_text().split()
        for number in range(1, documents + 1):
            begin = number * 37 % len(speech)
            text = (speech[begin:] + speech * (words // len(speech) + 1))[:words]
            (files / f"{number:05}.txt").write_text(f"Speech number {number}. {' '.join(text)}.\n")
        image, key = folder / f"{name}.img", folder / f"{name}.key"
        cluster.demo.owner("csum", "seal", files, "--out", image, "--key", key, capture=True)
        url = f"https://{BLOB_HOST}/sealed/{name}.img"
        cluster.demo.owner("csum", "push", image, url, "--create-container", "--overwrite", capture=True)
        return cls(cluster, name, shards, read_manifest(files).sha256, documents, key)

    def apply(self, target: dict[str, Any] | None = None, **batch: Any) -> None:
        """Be the cluster admin, who applies the resource, and the owner, who lets the keys out to it."""
        names = {"Documents": f"{self.name}-key", "Models": f"{self.name}-models"}
        resource = self.cluster.resource(self.name)
        spec = resource["spec"]
        if target is not None:
            # No cluster's identity pulls for it: the group's own does.
            spec |= {"target": target, "registryCredentials": {"identity": spec["identity"]["resourceID"]}}
        (identity,) = read_identities(self.cluster.home / "demo" / "results.key")
        for file_system in spec["fileSystems"]:
            role = file_system["role"]
            file_system["key"] = {"name": names[role], "vault": VAULT, "attestation": ATTESTATION}
            if role == "Documents":
                url = f"https://{BLOB_HOST}/sealed/{self.name}.img"
                output = {"blobPrefix": self.prefix, "recipient": str(identity.to_public())}
                file_system |= {"blobURL": url, "contentSHA256": self.content, "output": output}
        spec["summarizer"]["models"] = ["bart-demo"]
        spec["batch"] = {"shards": self.shards, "parallelism": self.shards, **batch}
        file = self.cluster.home / "demo" / f"{self.name}.yaml"
        file.write_text(json.dumps(resource))
        host_data = self.cluster.demo.owner("csum", "render", file, capture=True).stderr.split()[-1]
        keys = {"Documents": self.key, "Models": self.cluster.home / "demo" / "models.key"}
        for role, name in names.items():
            self.cluster.demo.owner(
                "csum", "key", "import", name, "--key", keys[role], "--vault", VAULT, "--attestation", ATTESTATION,
                "--for", file, "--file-system", role.lower(), "--expect-host-data", host_data, "--yes", "--new-version",
                capture=True,
            )  # fmt: skip
        self.cluster.apply(resource)

    @property
    def prefix(self) -> str:
        """Where the results go."""
        return f"https://{BLOB_HOST}/results/{self.name}/"

    @property
    def status(self) -> dict[str, Any]:
        """What the resource says of the batch."""
        found: dict[str, Any] = self.cluster.get("csum", self.name).get("status", {}).get("batch", {})
        return found

    def blobs(self) -> dict[str, str]:
        """Return the results that lie in storage: name, and size and time."""
        listed = self.cluster.demo.owner("csum", "results", "list", self.prefix, "-o", "json", capture=True)
        lines: list[str] = json.loads(listed.stdout)["blobs"]
        return {name: rest for name, _, rest in (line.partition("  ") for line in lines)}

    def kill(self, index: int) -> dict[str, str]:
        """Kill a shard's group in the middle of its work; return the results that the shard had by then.

        Storage does not take one of the others before the group is gone, however fast it works.
        """
        mine = [result_name(self.content, number) for number in range(index + 1, self.documents + 1, self.shards)]
        before = self.blobs()
        left = [name for name in mine if name not in before]
        held = left[len(left) // 2]
        self.cluster.fault("add", "blobs", "unavailable", "--for", 600, "--method", "PUT", "--path", f"*/{held}")
        self.cluster.wait_for(f"shard {index} to be at work", lambda: not self.blobs().keys().isdisjoint(left))
        selector = f"batch.kubernetes.io/job-completion-index={index},app.kubernetes.io/instance={self.name}"
        self.cluster.kubectl("delete", "pods", "--selector", selector, "--grace-period=0", "--force", "--wait=false")
        written = {name: seen for name, seen in self.blobs().items() if name in mine}
        assert held not in written
        self.cluster.fault("clear")
        return written

    def until_complete(self, seconds: int) -> None:
        """Wait as people do."""
        self.cluster.kubectl("wait", "--for=condition=Complete", f"--timeout={seconds}s", f"csum/{self.name}")

    def results(self, out: Path) -> list[dict[str, Any]]:
        """Be the data owner: take the results home, each checked to be of an attested group."""
        host_data = self.cluster.get("csum", self.name)["status"]["trust"]["hostData"]
        key = self.cluster.home / "demo" / "results.key"
        fetched = self.cluster.demo.owner(
            "csum", "results", "fetch", self.prefix, "--identity", key, "--out", out,
            "--host-data", host_data, "--attestation", ATTESTATION, "-o", "json", capture=True,
        )  # fmt: skip
        answer = json.loads(fetched.stdout)
        assert answer["refused"] == {}
        return [json.loads(Path(file).read_text()) for file in answer["written"]]


def every_document_once(archive: Archive, results: list[dict[str, Any]]) -> bool:
    """Tell whether there is exactly one result for each document."""
    counted = Counter(result["number"] for result in results)
    return counted == Counter(range(1, archive.documents + 1))
