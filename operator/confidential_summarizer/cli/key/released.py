"""Which images are those of a release, by the list that this csum came with.

`released_images.json` is written when a release is made (`make release-images`): the digests of the summarizer's image
and of the sidecar that resources get by default, and the root hashes of their layers, which `csum policy layers` shows
of any image. A build of ours from the same sources, wheels and base image has the same digest on any machine and at any
time. What is not listed is unknown, an older or newer image of Microsoft's as well.
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
        version: The release of ours.
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
    """Return the images of every release up to this one, the latest last."""
    text = files("confidential_summarizer").joinpath("released_images.json").read_text(encoding="utf-8")
    return tuple(ReleasedImage(**(entry | {"layers": tuple(entry["layers"])})) for entry in json.loads(text))


def release_of(container: str, measured: MeasuredImage) -> str | None:
    """Return the release that an image is of, None if of none that is listed here."""
    found = (one for one in released_images() if (one.container, one.digest) == (container, measured.image.digest))
    return next((one.version for one in found if one.layers == measured.layers), None)


def newest_of(container: str) -> ReleasedImage | None:
    """Return the image of the latest release that lists one for a container."""
    return next((one for one in reversed(released_images()) if one.container == container), None)
