"""Which images are those of a release, by the list that this csum came with.

`released_images.json` is written when a release is made (`make release-images`): the digest of the summarizer's image,
and the root hashes of its layers, which `csum policy layers` shows of any image. A build from the same sources, wheels
and base image has the same digest on any machine and at any time.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from confidential_summarizer.measurement.image import MeasuredImage


@dataclass(frozen=True)
class ReleasedImage:
    """One image of one release.

    Attributes:
        version: The release.
        container: The container that it is for.
        digest: Digest of the manifest, `sha256:…`.
        layers: Root hash of each layer, base first.
    """

    version: str
    container: str
    digest: str
    layers: tuple[str, ...]


@cache
def released_images() -> tuple[ReleasedImage, ...]:
    """Return the images of every release up to this one."""
    text = files("confidential_summarizer").joinpath("released_images.json").read_text(encoding="utf-8")
    return tuple(ReleasedImage(**(entry | {"layers": tuple(entry["layers"])})) for entry in json.loads(text))


def release_of(container: str, measured: MeasuredImage) -> str | None:
    """Return the release that an image is of, None if of none that is listed here."""
    found = (one for one in released_images() if (one.container, one.digest) == (container, measured.image.digest))
    return next((one.version for one in found if one.layers == measured.layers), None)
