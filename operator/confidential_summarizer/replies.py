"""Replies of services that are not trusted with this process's memory."""

import time
from email.utils import parsedate_to_datetime

import aiohttp

PLAIN = {"Accept-Encoding": "identity"}
"""Asks for the bytes as they are: a compressed reply of some kilobytes inflates to gigabytes."""

LONGEST_WAIT = 3600.0
"""No service is left alone for more seconds than that: what a wrong or hostile one asks for can be years."""


class Unreadable(ValueError):
    """The reply is too large or compressed."""


async def read_limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a reply to its end, however many pieces it arrives in.

    Args:
        response: Of a session with `auto_decompress=False`, asked for `PLAIN`.
        limit: Bytes that are read at most.

    Raises:
        Unreadable: It is larger than that, or compressed although nobody asked for it.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Unreadable("the reply is compressed, which was not asked for")
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            raise Unreadable(f"the reply is larger than {limit} bytes")
    return bytes(body)


def retry_after(header: str | None) -> float | None:
    """Return the seconds to wait by a `Retry-After` header, a number or a date (RFC 9110, 10.2.3), if it tells."""
    if not header:
        return None
    try:
        asked = float(header) if header.strip().isdigit() else parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, asked), LONGEST_WAIT)
