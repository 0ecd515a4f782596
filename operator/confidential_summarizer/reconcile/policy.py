"""Phase: render the group and compute its policy; publish the text for people."""

import hashlib

from confidential_summarizer.api.names import HOST_DATA_ANNOTATION, POLICY_CONFIG_MAP_SUFFIX
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.status import ConditionType
from confidential_summarizer.errors import SecretNotFound, SpecError
from confidential_summarizer.kube import CONFIG_MAP
from confidential_summarizer.reconcile.context import Context, Finding, Outcome
from confidential_summarizer.reconcile.secrets import SecretUse, secret_value
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.ownership import get_ours, labels_of, owner_reference
from confidential_summarizer.targets.target import Derivation

MIN_TOKEN_LENGTH = 32
"""Characters of a readers' token: its SHA-256 is public, so the token must be beyond guessing."""


async def generate_policy(context: Context) -> Outcome:
    """Compute the policy from the manifest that will be applied, and keep `<name>-policy` up to date."""
    assert context.images is not None  # noqa: S101 - the order of the phases
    derivation = derive(context.resource, context.images, token_sha256=await _token_sha256(context))
    await _publish(context, derivation)
    message = f"host-data {derivation.policy.host_data}"
    return Outcome(
        context.with_(derivation=derivation),
        [Finding.true(ConditionType.POLICY_GENERATED, Reason.GENERATED, message)],
    )


async def _token_sha256(context: Context) -> str | None:
    access = context.resource.spec.access
    reference = access.token_secret_ref
    if reference is None:
        return access.token_sha256
    namespace = context.resource.metadata.namespace
    token = await secret_value(context, reference.name, reference.key, SecretUse.TOKEN)
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


async def _publish(context: Context, derivation: Derivation) -> None:
    meta = context.resource.metadata
    name = meta.name + POLICY_CONFIG_MAP_SUFFIX
    data = {"policy.rego": derivation.policy.text}
    existing = await get_ours(context.clients.kube, meta, CONFIG_MAP, name)
    if existing is not None and existing.get("data") == data:
        return
    await context.clients.kube.apply(
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
