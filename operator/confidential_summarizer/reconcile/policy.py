"""Phase: render the group and compute its policy; publish the text for people."""

import hashlib

from confidential_summarizer.api.names import HOST_DATA_ANNOTATION, POLICY_CONFIG_MAP_SUFFIX
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import SecretNotFound, SpecError
from confidential_summarizer.kube import CONFIG_MAP
from confidential_summarizer.reconcile.clients import Clients
from confidential_summarizer.reconcile.images import Images
from confidential_summarizer.reconcile.secrets import SecretUse, secret_value
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.ownership import get_ours, labels_of, owner_reference
from confidential_summarizer.targets.target import Derivation

MIN_TOKEN_LENGTH = 32
"""Characters of a readers' token: its SHA-256 is public, so the token must be beyond guessing."""


async def generate_policy(clients: Clients, resource: ConfidentialSummarizer, images: Images) -> Derivation:
    """Compute the policy from the manifest that will be applied."""
    return derive(resource, images, token_sha256=await _token_sha256(clients, resource))


async def _token_sha256(clients: Clients, resource: ConfidentialSummarizer) -> str | None:
    access = resource.spec.access
    reference = access.token_secret_ref
    if reference is None:
        return access.token_sha256
    namespace = resource.metadata.namespace
    token = await secret_value(clients.kube, resource, reference.name, reference.key, SecretUse.TOKEN)
    if token is None:
        raise SecretNotFound(
            f"Secret {namespace}/{reference.name} with key {reference.key} is missing: create it with the readers' "
            f"token, at least {MIN_TOKEN_LENGTH} characters"
        )
    token = token.rstrip(b"\r\n")  # of a file that `openssl rand -hex 32` wrote; no reader can type it
    if len(token) < MIN_TOKEN_LENGTH:
        raise SpecError(
            f"Secret {namespace}/{reference.name}: the readers' token is shorter than {MIN_TOKEN_LENGTH} characters; "
            "make one with `openssl rand -hex 32`"
        )
    return hashlib.sha256(token).hexdigest()


async def publish_policy(clients: Clients, resource: ConfidentialSummarizer, derivation: Derivation) -> None:
    """Keep ConfigMap `<name>-policy` up to date, for people.

    Raises:
        NameTaken: Somebody else's ConfigMap has the name.
    """
    meta = resource.metadata
    name = meta.name + POLICY_CONFIG_MAP_SUFFIX
    data = {"policy.rego": derivation.policy.text}
    existing = await get_ours(clients.kube, meta, CONFIG_MAP, name)
    if existing is not None and existing.get("data") == data:
        return
    await clients.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": meta.namespace,
                "labels": labels_of(meta),
                "annotations": {HOST_DATA_ANNOTATION: derivation.policy.host_data},
                "ownerReferences": [owner_reference(meta)],
            },
            "data": data,
        }
    )
