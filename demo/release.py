"""`python -m demo.release REPOSITORY TAG`: the images of a release, built and pushed for real.

The images are those of the demo, made from the same base and wheels; here they go to a registry that buildah has signed
in to, and their references by digest go to stdout as JSON. Digests and root hashes of layers, of the summarizer and of
the sidecar that resources get by default, go into the list by which `csum key approve` knows them. That list belongs
into the wheel: build it afterwards.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from azure_sandbox.image_build import ImageBuilder
from azure_sandbox.progress import now_and_then
from azure_sandbox.state import SandboxState
from confidential_summarizer.api.spec import Sidecars
from confidential_summarizer.blueprint import ENCFS, SUMMARIZER
from confidential_summarizer.measurement.image import MeasuredImage, Measurer
from confidential_summarizer.registry import RegistryClient, default_credentials
from demo.images import operator_image, summarizer_image

RELEASED = Path(__file__).parents[1] / "operator" / "confidential_summarizer" / "released_images.json"
IMAGES = {"operator": operator_image, "summarizer": summarizer_image}


def main() -> None:
    """Build, push, and print one reference for each image."""
    parser = argparse.ArgumentParser(prog="python -m demo.release", description=__doc__)
    parser.add_argument("repository", help="where both go, as ghcr.io/OWNER/NAME")
    parser.add_argument("tag", help="version of the release")
    arguments = parser.parse_args()
    report = now_and_then(lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="csum-release-") as home:
        state = SandboxState(Path(home))
        state.prepare()
        builder = ImageBuilder(state, report, network={})
        references = {}
        for name, image in IMAGES.items():
            repository = f"{arguments.repository}/{name}"
            digest = builder.publish(image(f"{repository}:{arguments.tag}", state, report))
            references[name] = f"{repository}@{digest}"
    _list(arguments.tag, {SUMMARIZER: references["summarizer"], ENCFS: Sidecars().encfs})
    print(json.dumps(references, indent=2))


def _list(version: str, images: Mapping[str, str]) -> None:
    """Add images to the list of released ones, in place of others of the same version."""
    added = []
    for container, reference in images.items():
        measured = asyncio.run(_measured(reference))
        layers = list(measured.layers)
        added.append({"version": version, "container": container, "digest": measured.image.digest, "layers": layers})
    entries = [one for one in json.loads(RELEASED.read_text(encoding="utf-8")) if one["version"] != version]
    RELEASED.write_text(json.dumps([*entries, *added], indent=2) + "\n", encoding="utf-8")


async def _measured(reference: str) -> MeasuredImage:
    async with RegistryClient(default_credentials()) as registry:
        return await Measurer().measure(registry, reference)


if __name__ == "__main__":
    main()
