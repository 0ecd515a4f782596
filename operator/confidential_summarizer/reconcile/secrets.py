"""Values of Secrets that a resource names."""

import base64

from confidential_summarizer.kube import SECRET
from confidential_summarizer.reconcile.context import Context


async def secret_value(context: Context, name: str, key: str) -> bytes | None:
    """Return the value of one key of a Secret in the resource's namespace; None if either is missing."""
    secret = await context.clients.kube.get(SECRET, context.resource.metadata.namespace, name)
    encoded = ((secret or {}).get("data") or {}).get(key)
    return None if encoded is None else base64.b64decode(encoded)
