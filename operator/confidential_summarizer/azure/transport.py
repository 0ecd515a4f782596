"""How every Azure client of ours reaches the network.

Proxy: aiohttp with `trust_env` reads HTTPS_PROXY and NO_PROXY. Certificates: aiohttp's default context reads
SSL_CERT_FILE. Both are the libraries' defaults; they are stated here because the product depends on them.
"""

from typing import Any

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from confidential_summarizer.replies import PLAIN


def new_transport() -> AioHttpTransport:
    """Return the transport of one SDK client, which closes it."""
    return AioHttpTransport(use_env_settings=True)


def retry_options(retries: int) -> dict[str, Any]:
    """Return an SDK client's options about repeating calls.

    Args:
        retries: How often the SDK repeats a failed call by itself. 0 for the operator, whose own queue repeats and
            must see throttling; a few for a person's command line.
    """
    # A wrong host name or certificate authority stays wrong: one more try is enough to ride out a lost packet.
    connect = min(retries, 1)
    return {"retry_total": retries, "retry_status": retries, "retry_connect": connect, "retry_read": retries}


def client_options(retries: int) -> dict[str, Any]:
    """Return the options that every SDK client of ours is made with; see `retry_options`."""
    return {"transport": new_transport(), **retry_options(retries)}


def plain_session() -> aiohttp.ClientSession:
    """Return a session for services without an SDK, under the same proxy and certificate rules; nothing inflates."""
    timeout = aiohttp.ClientTimeout(total=60)
    return aiohttp.ClientSession(trust_env=True, timeout=timeout, headers=PLAIN, auto_decompress=False)
