"""Values of Secrets that a resource names; the namespace's people label those that the operator may read."""

import base64
from enum import StrEnum

from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.errors import SecretNotAllowed
from confidential_summarizer.kube import SECRET, KubernetesAPI

PULL_SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type, not a secret
"""Secrets of this type can hold nothing but credentials of registries, so they need no label."""


class SecretUse(StrEnum):
    """What a Secret is read for: the value of its label."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a label, not a secret
    PULL = "pull"


async def secret_value(
    kube: KubernetesAPI, resource: ConfidentialSummarizer, name: str, key: str, use: SecretUse
) -> bytes | None:
    """Return the value of one key of a Secret in the resource's namespace; None if either is missing.

    Raises:
        SecretNotAllowed: The Secret is not labelled for this use. The resource's author may have no right to read it,
            and would otherwise borrow the operator's.
    """
    namespace = resource.metadata.namespace
    secret = await kube.get(SECRET, namespace, name)
    if secret is None:
        return None
    allowed = (secret["metadata"].get("labels") or {}).get(USE_LABEL) == use
    if not allowed and not (use is SecretUse.PULL and secret.get("type") == PULL_SECRET_TYPE):
        raise SecretNotAllowed(
            f"Secret {namespace}/{name} is not labelled for this use, so it was not read: "
            f"`kubectl -n {namespace} label secret {name} {USE_LABEL}={use}`"
        )
    encoded = (secret.get("data") or {}).get(key)
    return None if encoded is None else base64.b64decode(encoded)
