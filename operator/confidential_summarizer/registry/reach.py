"""How near an address is, and a resolver that leads no nearer than is allowed.

A registry says where its tokens and its layers are. A registry of an attacker's would point into the network of whoever
asks: at the machine itself, at a metadata service, at what only the cluster can reach.
"""

import asyncio
import ipaddress
import socket
from enum import IntEnum
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from confidential_summarizer.errors import ImageError

AZURE_HOST = ipaddress.ip_address("168.63.129.16")
"""Looks public, and is the host of every virtual machine in Azure (its documentation, "What is 168.63.129.16")."""


NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Networks of IPv6 alone reach IPv4 through it, the addresses inside included (RFC 6052 section 2.1)."""
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
"""The same with a prefix that a site lays out as it likes (RFC 8215)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(IntEnum):
    """From where an address can be reached; a larger one is nearer."""

    PUBLIC = 0
    PRIVATE = 1
    LOCAL = 2


def reach_of(address: str) -> Reach:
    """Tell how near a numeric address is: this machine or its host, a private network, or the internet."""
    ip = _inner(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast or ip == AZURE_HOST:
        return Reach.LOCAL
    return Reach.PUBLIC if ip.is_global and not _is_of_a_site(ip) else Reach.PRIVATE


def _inner(ip: Address) -> Address:
    """Return the IPv4 address to which an IPv6 address leads: mapped, or translated on the way."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _is_of_a_site(ip: Address) -> bool:
    return isinstance(ip, ipaddress.IPv6Address) and (ip.is_site_local or ip in LOCAL_NAT64)


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_literal(host: str, limit: Reach) -> None:
    """Refuse a numeric address that is nearer than allowed; names are the resolver's to check.

    Raises:
        ImageError: It is nearer.
    """
    try:
        found = reach_of(host)
    except ValueError:
        found = Reach.LOCAL if is_loopback(host) else Reach.PUBLIC
    if found > limit:
        raise refusal(host)


async def reach_of_host(scheme: str, host: str) -> Reach:
    """Tell how near the nearest address of a host is; behind a proxy, which resolves names itself, it is public."""
    if is_loopback(host):
        return Reach.LOCAL
    if scheme in getproxies() and not proxy_bypass(host):
        return Reach.PUBLIC
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return Reach.PUBLIC
    return max((reach_of(str(entry[4][0])) for entry in found), default=Reach.PUBLIC)


def refusal(host: str) -> ImageError:
    """Return the error for an address that is nearer than allowed."""
    return ImageError(
        f"{host} is an internal address, and a registry may not lead there: refused. For a registry on this machine "
        "run `csum --loopback-registry …`"
    )


class BoundedResolver(AbstractResolver):
    """Resolves names, and refuses those with an address that is nearer than `limit`; proxies are exempt."""

    def __init__(self, limit: Reach) -> None:
        self._inner = DefaultResolver()
        self._limit = limit
        self._proxies = {urlsplit(url).hostname for url in getproxies().values()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver.resolve`; raises ImageError for an address that is too near."""
        found = await self._inner.resolve(host, port, family)
        if host not in self._proxies and any(reach_of(entry["host"]) > self._limit for entry in found):
            raise refusal(host)
        return found

    async def close(self) -> None:
        """See `AbstractResolver.close`."""
        await self._inner.close()
