"""An archive in shards on the whole sandbox: sealed, summarized as a batch, its groups killed, its results counted."""

import json
from collections import Counter
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Image:
    """One sealed image of an archive.

    Attributes:
        name: Of the file system, and of what belongs to it.
        content: SHA-256 of the documents' manifest.
        documents: How many there are.
        key: File of the key that seals them.
    """

    name: str
    content: str
    documents: int
    key: Path


@dataclass
class Archive:
    """One batch.

    Attributes:
        cluster: Where it runs, with the demo's models and key for results.
        name: Of the resource and of everything that belongs to it.
        shards: How many groups work on it, all at a time.
        images: What holds the documents; each is a shard, where there are several.
    """

    cluster: "Cluster"
    name: str
    shards: int
    images: tuple[Image, ...]

    @classmethod
    def sealed(
        cls, cluster: "Cluster", folder: Path, name: str, documents: Sequence[int], words: int, shards: int
    ) -> "Archive":
        """Be the data owner: write documents of so many words, as many an image as `documents` says; seal and push."""
        speech = SPEECH.read_text().split()
        images = []
        for index, count in enumerate(documents):
            called = f"{name}-{index}"
            files = folder / called
            files.mkdir()
            for number in range(1, count + 1):
                begin = number * 37 % len(speech)
                text = (speech[begin:] + speech * (words // len(speech) + 1))[:words]
                (files / f"{number:05}.txt").write_text(f"Speech number {number} of {index}. {' '.join(text)}.\n")
            image, key = folder / f"{called}.img", folder / f"{called}.key"
            cluster.demo.owner("csum", "seal", files, "--out", image, "--key", key, capture=True)
            url = f"https://{BLOB_HOST}/sealed/{called}.img"
            cluster.demo.owner("csum", "push", image, url, "--create-container", "--overwrite", capture=True)
            images.append(Image(called, read_manifest(files).sha256, count, key))
        return cls(cluster, name, shards, tuple(images))

    def apply(self, target: dict[str, Any] | None = None, **batch: Any) -> None:
        """Be the cluster admin, who applies the resource, and the owner, who lets the keys out to it."""
        resource = self.cluster.resource(self.name)
        spec = resource["spec"]
        if target is not None:
            # No cluster's identity pulls for it: the group's own does.
            spec |= {"target": target, "registryCredentials": {"identity": spec["identity"]["resourceID"]}}
        (identity,) = read_identities(self.cluster.home / "demo" / "results.key")
        (models,) = (one for one in spec["fileSystems"] if one["role"] == "Models")
        documents = [
            {
                "name": image.name,
                "role": "Documents",
                "blobURL": f"https://{BLOB_HOST}/sealed/{image.name}.img",
                "contentSHA256": image.content,
                "output": {"blobPrefix": self.prefix(image), "recipient": str(identity.to_public())},
            }
            for image in self.images
        ]
        spec["fileSystems"] = [*documents, models]
        for one in spec["fileSystems"]:
            one["key"] = {"name": f"{self.name}-{one['name']}", "vault": VAULT, "attestation": ATTESTATION}
        spec["summarizer"]["models"] = ["bart-demo"]
        spec["batch"] = {"shards": self.shards, "parallelism": self.shards, **batch}
        if len(self.images) > 1:
            spec["batch"]["shardBy"] = "FileSystem"
        file = self.cluster.home / "demo" / f"{self.name}.yaml"
        file.write_text(json.dumps(resource))
        host_data = self.cluster.demo.owner("csum", "render", file, capture=True).stderr.split()[-1]
        keys = {image.name: image.key for image in self.images}
        for name, key in {**keys, models["name"]: self.cluster.home / "demo" / "models.key"}.items():
            self.cluster.demo.owner(
                "csum", "key", "import", f"{self.name}-{name}", "--key", key, "--vault", VAULT, "--attestation",
                ATTESTATION, "--for", file, "--file-system", name, "--expect-host-data", host_data, "--yes",
                "--new-version", capture=True,
            )  # fmt: skip
        self.cluster.apply(resource)

    def prefix(self, image: Image) -> str:
        """Where the results for an image go."""
        return f"https://{BLOB_HOST}/results/{image.name}/"

    @property
    def status(self) -> dict[str, Any]:
        """What the resource says of the batch."""
        found: dict[str, Any] = self.cluster.get("csum", self.name).get("status", {}).get("batch", {})
        return found

    def blobs(self) -> dict[str, str]:
        """Return the results that lie in storage: name, and size and time."""
        lines: list[str] = []
        for image in self.images:
            listed = self.cluster.demo.owner("csum", "results", "list", self.prefix(image), "-o", "json", capture=True)
            lines += json.loads(listed.stdout)["blobs"]
        return {name: rest for name, _, rest in (line.partition("  ") for line in lines)}

    def of_shard(self, index: int) -> list[str]:
        """Return the names of a shard's results."""
        image, first, step = self.images[0], index + 1, self.shards
        if len(self.images) > 1:
            image, first, step = self.images[index], 1, 1
        return [result_name(image.content, number) for number in range(first, image.documents + 1, step)]

    def kill(self, index: int) -> dict[str, str]:
        """Kill a shard's group in the middle of its work; return the results that the shard had by then.

        Storage does not take one of the others before the group is gone, however fast it works.
        """
        mine = self.of_shard(index)
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
        results = []
        for image in self.images:
            fetched = self.cluster.demo.owner(
                "csum", "results", "fetch", self.prefix(image), "--identity", key, "--out", out / image.name,
                "--host-data", host_data, "--attestation", ATTESTATION, "-o", "json", capture=True,
            )  # fmt: skip
            answer = json.loads(fetched.stdout)
            assert answer["refused"] == {}
            results += [json.loads(Path(file).read_text()) for file in answer["written"]]
        return results


def every_document_once(archive: Archive, results: list[dict[str, Any]]) -> bool:
    """Tell whether there is exactly one result for each document."""
    counted = Counter((result["fileSystem"], result["number"]) for result in results)
    return counted == Counter((one.name, number) for one in archive.images for number in range(1, one.documents + 1))
