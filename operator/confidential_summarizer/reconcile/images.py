"""Phase: resolve and measure the images. A tag is resolved once for each generation, then pinned in status."""

import json
from collections.abc import Mapping
from typing import Any

from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.status import ConditionStatus, ConditionType, ImageTrust
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import SecretNotFound
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.reconcile.secrets import SecretUse, secret_value
from confidential_summarizer.registry import ImageReference
from confidential_summarizer.targets.derive import measure_images

DOCKER_CONFIG = ".dockerconfigjson"
"""Key of a Secret of type kubernetes.io/dockerconfigjson."""


async def resolve_images(context: Context) -> Outcome:
    """Pin each container's image by digest and measure its layers."""
    pull_secret = await _pull_secret(context)
    measure = context.clients.measurer(pull_secret)
    images = await measure_images(context.resource, measure, pinned(context.resource))
    references = image_references(context.resource)
    trust = [
        ImageTrust(
            container=container,
            reference=references[container],
            digest=measured.image.digest,
            layers=list(measured.layers),
        )
        for container, measured in images.items()
    ]
    message = "; ".join(f"{i.container}: {i.digest}" for i in trust)
    return Outcome(
        context.with_(images=images, image_trust=trust, pull_secret=pull_secret),
        [Finding.true(ConditionType.IMAGES_RESOLVED, Reason.RESOLVED, message)],
    )


def pinned(resource: ConfidentialSummarizer) -> dict[str, str]:
    """Return the references that this generation has been pinned to, by container; empty at first sight."""
    condition = resource.status.condition(ConditionType.IMAGES_RESOLVED)
    if (
        condition is None
        or condition.status is not ConditionStatus.TRUE
        or condition.observed_generation != resource.metadata.generation
        or resource.status.trust is None
    ):
        return {}
    return {
        image.container: str(ImageReference.parse(image.reference).at(image.digest))
        for image in resource.status.trust.images
    }


async def _pull_secret(context: Context) -> Mapping[str, Any] | None:
    credentials = context.resource.spec.registry_credentials
    if credentials is None or credentials.secret_ref is None:
        return None
    name = credentials.secret_ref.name
    content = await secret_value(context, name, DOCKER_CONFIG, SecretUse.PULL)
    if content is None:
        raise SecretNotFound(
            f"Secret {context.resource.metadata.namespace}/{name} of type kubernetes.io/dockerconfigjson is missing: "
            "create it with `kubectl create secret docker-registry`"
        )
    config: Mapping[str, Any] = json.loads(content)
    return config
