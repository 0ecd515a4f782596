"""From a resource to the policy of its container group, with nothing but the registry.

The operator, `csum render`, `csum key approve` and `csum verify` all come through here, so the data owner derives the
same bytes as the operator did.
"""

from collections.abc import Mapping

from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.api.spec import Profile
from confidential_summarizer.blueprint import blueprint, image_references
from confidential_summarizer.measurement.image import Measure, MeasuredImage
from confidential_summarizer.policy.contracts import CONTRACTS
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.targets.table import TARGETS
from confidential_summarizer.targets.target import Derivation


async def measure_images(
    resource: ConfidentialSummarizer, measure: Measure, pinned: Mapping[str, str]
) -> dict[str, MeasuredImage]:
    """Measure the image of every container.

    Args:
        resource: The resource.
        measure: Resolves and measures one reference.
        pinned: By container name, the references that this generation has been pinned to already.
    """
    references = image_references(resource) | dict(pinned)
    return {container: await measure(reference) for container, reference in references.items()}


def derive(
    resource: ConfidentialSummarizer, images: Mapping[str, MeasuredImage], *, token_sha256: str | None = None
) -> Derivation:
    """Render the resource for its target and compute the policy from that very manifest.

    Raises:
        SpecError: The resource asks for what its target does not have.
        PolicyError: No policy can be made, for example because an image has no command.
    """
    pinned = {container: measured.image.pinned for container, measured in images.items()}
    measured = {image.image.pinned: image for image in images.values()}
    plan = blueprint(resource, pinned, token_sha256=token_sha256)
    render = TARGETS[resource.spec.target.kind].render
    manifest, policy = render(resource, plan, measured, policy_settings(resource))
    return Derivation(manifest, policy, images)


def policy_settings(resource: ConfidentialSummarizer) -> PolicySettings:
    """Return the policy's settings: nothing can be looked into unless the profile is Debug."""
    debug = resource.spec.policy.profile is Profile.DEBUG
    return PolicySettings(
        contract=CONTRACTS[resource.spec.policy.contract],
        debug=debug,
        allow_stdio_access=debug,
        # Without this the host could leave a variable out, say that of the readers' token, and the guest would start.
        require_environment=True,
        # Our pods switch service links off, and no variable that the host may add can pass for one of ours.
        closed_patterns=True,
    )
