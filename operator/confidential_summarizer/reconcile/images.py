"""Phase: resolve and measure the images. What a tag meant is kept until the reference changes or somebody asks."""

import json
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.api.names import RESOLVE_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import ImageTrust
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import SecretNotFound, SpecError
from confidential_summarizer.measurement.image import MeasuredImage
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.secrets import SecretUse, secret_value
from confidential_summarizer.registry import ImageReference
from confidential_summarizer.targets.derive import measure_images

DOCKER_CONFIG = ".dockerconfigjson"
"""Key of a Secret of type kubernetes.io/dockerconfigjson."""
LARGEST_PULL_SECRET = 64 * 1024
"""Bytes; one for twenty registries has a third of it, and each of its keys is compared with each image's registry."""

Images = Mapping[str, MeasuredImage]
"""The measured image of each container."""


async def resolve_images(clients: Clients, resource: ConfidentialSummarizer) -> Images:
    """Pin each container's image by digest and measure its layers."""
    measure = clients.measurer(await pull_secret(clients, resource))
    return await measure_images(resource, measure, pinned(resource))


def image_trust(resource: ConfidentialSummarizer, images: Images) -> list[ImageTrust]:
    """Return what the status says about the images."""
    references = image_references(resource)
    return [
        ImageTrust(
            container=container,
            reference=references[container],
            digest=measured.image.digest,
            layers=list(measured.layers),
        )
        for container, measured in images.items()
    ]


def pinned(resource: ConfidentialSummarizer) -> dict[str, str]:
    """Return the references by digest that containers have been pinned to.

    Neither another number of replicas nor an outage of the registry takes a new image: only another reference in the
    spec does, or a new value of the annotation.
    """
    asked = resource.metadata.annotations.get(RESOLVE_ANNOTATION)
    trust = resource.status.trust
    if trust is None or (asked is not None and asked != resource.status.last_handled_resolve_at):
        return {}
    references = image_references(resource)
    return {
        image.container: str(ImageReference.parse(image.reference).at(image.digest))
        for image in trust.images
        if references.get(image.container) == image.reference
    }


def all_pinned(resource: ConfidentialSummarizer) -> bool:
    """Tell whether every image is known already: then resolving them takes no time."""
    return pinned(resource).keys() == image_references(resource).keys()


async def pull_secret(clients: Clients, resource: ConfidentialSummarizer) -> Mapping[str, Any] | None:
    """Return the decoded `.dockerconfigjson` that the resource pulls its images with; None for anonymous pulls.

    Raises:
        SecretNotFound: The Secret is missing.
        SpecError: It holds no such configuration.
    """
    credentials = resource.spec.registry_credentials
    if credentials is None or credentials.secret_ref is None:
        return None
    name = credentials.secret_ref.name
    subject = f"Secret {resource.metadata.namespace}/{name} of type kubernetes.io/dockerconfigjson"
    content = await secret_value(clients.kube, resource, name, DOCKER_CONFIG, SecretUse.PULL)
    if content is None:
        raise SecretNotFound(f"{subject} is missing: create it with `kubectl create secret docker-registry`")
    try:
        config = json.loads(content) if len(content) <= LARGEST_PULL_SECRET else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise SpecError(
            f"{subject} holds no JSON object of at most {LARGEST_PULL_SECRET} bytes: create it anew with "
            "`kubectl create secret docker-registry`"
        )
    return config
