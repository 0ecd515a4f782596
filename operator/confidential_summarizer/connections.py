"""How clients that are kept reach their hosts: through which proxy, and over how many connections.

aiohttp's `trust_env` finds out at every request, in two threads, and looks for a netrc file in both: that takes longer
than the rest of a short call. And no password of such a file is for a service that we sign in to.
"""

from urllib.request import getproxies, proxy_bypass

CONNECTIONS = 32
"""Of one client: one for each look that begins at a time. asyncio holds 256 KiB for each (sslproto.py, max_size)."""


def proxy_to(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy that is asked for URLs of a host; None to ask the host itself.

    HTTPS_PROXY, HTTP_PROXY and NO_PROXY say so.
    """
    return None if proxy_bypass(host) else getproxies().get(scheme)
