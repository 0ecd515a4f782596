"""The pages inside the groups, asked over TLS that ends in the group.

No authority vouches for a group's certificate, so every answer comes with the key of its connection's other end: an
answer is the group's only if evidence, checked, names that key. What a page says before decides nothing but what people
are told.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

from confidential_summarizer.errors import TransientError
from confidential_summarizer.replies import PLAIN, Unreadable, read_limited

TIMEOUT = aiohttp.ClientTimeout(total=10)
"""Seconds; a page that needs longer is asked again at the next reconcile."""
PATIENT = aiohttp.ClientTimeout(total=90)
"""Seconds; for a person, who asks once: under load a report and its token take a minute."""
MAX_BYTES = 1 << 20
"""An answer beyond this is not read: the group is not trusted with the caller's memory."""


@dataclass(frozen=True)
class Answer:
    """What a page answered.

    Attributes:
        document: The JSON object.
        peer: Who answered: SHA-256 (64 hexadecimal digits) of the SubjectPublicKeyInfo of the connection's other end.
    """

    document: Mapping[str, Any]
    peer: str


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the SHA-256 of the SubjectPublicKeyInfo that the other end of a connection has proved to hold.

    Raises:
        ValueError: The connection is closed, is no TLS, or its certificate cannot be read.
    """
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if certificate is None:
        raise ValueError("the connection has no certificate")
    try:
        key = load_der_x509_certificate(certificate).public_key()
    except (InvalidVersion, UnsupportedAlgorithm) as error:  # which are no errors of a value
        raise ValueError("its certificate cannot be read") from error
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class PeerRecorder(aiohttp.Fingerprint):
    """Takes down who is at the other end of a new connection: aiohttp's hook for pinned certificates.

    A short answer may be over, and its connection closed, before anybody can look at the response's own.
    """

    def __init__(self) -> None:
        super().__init__(bytes(32))
        self.peer = ""

    def check(self, transport: asyncio.Transport) -> None:
        """Keep the other end's key; no certificate is refused."""
        self.peer = peer_of(transport)


class PageClient:
    """Asks pages for their status and evidence, without any credential. Use as an async context manager."""

    def __init__(self, *, proxy: bool = False, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        """Prepare the client.

        Args:
            proxy: Whether HTTPS_PROXY and its relatives count: not for the operator, whose pages are inside the
                virtual network.
            timeout: For one answer.
        """
        self._proxy = proxy
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        # One connection for each question: an answer is over before the next one can be asked of somebody else.
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, trust_env=self._proxy, headers=PLAIN, auto_decompress=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def status(self, address: str) -> Mapping[str, Any] | None:
        """Return the page's status, or None while it does not answer with one. Nobody vouches for it."""
        try:
            return await self._get(f"https://{address}/api/status", {}, ssl=False)
        except TransientError:
            return None

    async def evidence(self, address: str, nonce: str) -> Answer | None:
        """Return evidence bound to a fresh nonce (base64url), or None while there is none."""
        try:
            return await self.evidence_from(f"https://{address}", nonce)
        except TransientError:
            return None

    async def evidence_from(self, url: str, nonce: str) -> Answer:
        """Return evidence of the page at a URL, bound to a fresh nonce (base64url).

        Raises:
            TransientError: The page gave none; the message says why.
        """
        recorder = PeerRecorder()
        return Answer(await self._get(f"{url}/api/evidence", {"nonce": nonce}, ssl=recorder), recorder.peer)

    async def _get(self, url: str, query: Mapping[str, str], ssl: PeerRecorder | Literal[False]) -> Mapping[str, Any]:
        try:
            async with self._session.get(url, params=query, ssl=ssl, allow_redirects=False) as response:
                if response.status != 200:
                    raise TransientError(f"{url}: the page answered {response.status}. Is the group still starting?")
                body = await read_limited(response, MAX_BYTES)
        except Unreadable as error:
            raise TransientError(f"{url}: {error}. Is it a summarizer's page?") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TransientError(f"{url}: the page cannot be reached ({type(error).__name__}).") from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise TransientError(f"{url}: the page's answer is no JSON object. Is it a summarizer's page?")
        return document
