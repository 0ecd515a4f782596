"""Which proxy leads to a host, by HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

aiohttp's `trust_env` finds out at every request, in two threads, and looks for a netrc file in both: that takes longer
than the rest of a short call. And no password of such a file is for a service that we sign in to.
"""

from urllib.request import getproxies, proxy_bypass


def proxy_to(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy that is asked for URLs of a host; None to ask the host itself."""
    return None if proxy_bypass(host) else getproxies().get(scheme)
