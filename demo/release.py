"""`python -m demo.release REPOSITORY TAG`: the images of a release, built and pushed for real.

The images are those of the demo, made from the same base and wheels; here they go to a registry that buildah has signed
in to, and their references by digest go to stdout as JSON.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from azure_sandbox.image_build import ImageBuilder
from azure_sandbox.progress import now_and_then
from azure_sandbox.state import SandboxState
from demo.images import operator_image, summarizer_image

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
    print(json.dumps(references, indent=2))


if __name__ == "__main__":
    main()
