"""HTTP to registries: retries, tokens and redirects.

Protocol: OCI distribution specification 1.1; token flow as in the distribution project's token specification.
"""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from confidential_summarizer.errors import AccessDenied, ImageError, SummarizerError, Throttled, TransientError
from confidential_summarizer.registry.credentials import Anonymous, Credential, CredentialSource
from confidential_summarizer.registry.image import parse_object
from confidential_summarizer.registry.reach import BoundedResolver, Reach, check_literal, is_loopback, reach_of_host
from confidential_summarizer.registry.reference import DEFAULT_REGISTRY
from confidential_summarizer.replies import retry_after as waiting_time

_API_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}
_ATTEMPTS = 5
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
"""Seconds that anybody waits at a prompt; a registry that asks for more is asked again when the caller says."""
_REDIRECTS = 5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)
_TOKEN_LIMIT = 1 << 20
_TOKEN_LIFETIME = 60
"""Seconds a token lives when the server does not say: the default of the token specification."""

_SCHEME = re.compile(r"[A-Za-z0-9-]{1,32}")
"""Any other is nobody's, and would stand in messages."""
_PARAMETER = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True)
class _Token:
    header: str
    expires: float


@dataclass(frozen=True)
class Challenge:
    """A `WWW-Authenticate` header: its scheme in lower case and its parameters."""

    scheme: str
    parameters: Mapping[str, str]

    @classmethod
    def parse(cls, header: str) -> "Challenge":
        """Read the header's first challenge."""
        scheme, _, rest = header.strip().partition(" ")
        found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        return cls(scheme.lower() if _SCHEME.fullmatch(scheme) else "", found)


class Transport:
    """GET requests to registries, authorised where asked for; use it as an async context manager.

    Proxies and the trusted certificates come from the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`).
    """

    def __init__(self, credentials: CredentialSource | None, *, loopback: bool) -> None:
        """Prepare the client.

        Args:
            credentials: What knows the registries' passwords.
            loopback: Whether a registry may be on this machine itself, where it is asked by http.
        """
        self._credentials = credentials or Anonymous()
        self._loopback = loopback
        self._sessions: dict[Reach, aiohttp.ClientSession] | None = None
        self._tokens: dict[tuple[str, str], _Token] = {}

    async def __aenter__(self) -> Self:
        self._sessions = {}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sessions, self._sessions = self._sessions or {}, None
        for session in sessions.values():
            await session.close()

    @contextlib.asynccontextmanager
    async def get(
        self, registry: str, repository: str, path: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for `/v2/<repository>/<path>` and keep the answer open; its status is 200 or 206.

        Raises:
            AccessDenied: The registry refuses the credential, or wants one.
            ImageError: The registry has no such thing.
            TransientError: It did not answer well, in as many tries as make sense.
        """
        subject = f"{registry}/{repository}"
        failure: SummarizerError = TransientError(f"registry {registry} did not answer: try again later")
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_delay(attempt, failure))
            try:
                response = await self._authorised(registry, repository, path, headers)
            except (aiohttp.ClientError, TimeoutError) as error:
                failure = TransientError(
                    f"registry {registry} cannot be reached ({type(error).__name__}): try again later"
                )
                continue
            except ValueError as error:  # how the libraries refuse what is no address, or no value of a header
                raise ImageError(
                    f"registry {registry} cannot be asked, since its address, the credential for it, or an address or "
                    "token that it names is malformed: correct the first two, or ask its owner to correct its answers"
                ) from error
            if response.status in {200, 206}:
                try:
                    yield response
                finally:
                    response.close()
                return
            failure = _failure(response, subject, path)
            response.close()
            if not isinstance(failure, TransientError):
                break
        raise failure

    async def _authorised(
        self, registry: str, repository: str, path: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        url = base_url(registry) / "v2" / repository / path
        if is_loopback(url.host or "") and not self._loopback:
            raise ImageError(
                f"registry {registry} is this machine itself, and nobody asked for one here: run "
                "`csum --loopback-registry …`, or name another registry"
            )
        key = (registry, repository)
        token = self._tokens.get(key)
        if token and token.expires <= time.monotonic():
            token = None
        response = await self._follow(url, headers, token.header if token else None)
        if response.status != 401:
            return response
        challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
        response.close()
        token = await self._authorise(registry, repository, challenge)
        self._tokens[key] = token
        return await self._follow(url, headers, token.header)

    async def _follow(self, url: URL, headers: Mapping[str, str], authorization: str | None) -> aiohttp.ClientResponse:
        """Follow redirects by hand: the credential goes to the registry alone, never to the storage behind it."""
        sent = dict(headers) | ({"Authorization": authorization} if authorization else {})
        origin = url.origin()
        for _ in range(_REDIRECTS):
            client = await self._client(url, origin)
            response = await client.get(url, headers=sent, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                return response
            response.close()
            target = url.join(URL(location))
            if not _encrypted(target, origin):
                raise ImageError(
                    f"registry {origin.host} redirects to an unencrypted address: ask its owner to correct that"
                )
            url = target
            if url.origin() != origin:
                sent.pop("Authorization", None)
        raise TransientError(f"registry {origin.host} redirects without end: try again later")

    async def _authorise(self, registry: str, repository: str, challenge: Challenge) -> _Token:
        credential = await self._credentials.credential_for(registry, repository)
        if challenge.scheme == "basic":
            if not credential:
                raise AccessDenied(f"registry {registry} wants a user and password: give credentials for it")
            return _Token(aiohttp.encode_basic_auth(credential.username, credential.password), float("inf"))
        realm = URL(challenge.parameters.get("realm", ""))
        if challenge.scheme != "bearer" or not realm.host:
            raise AccessDenied(
                f"registry {registry} asks for an unknown way to log in: {challenge.scheme or 'none named'}"
            )
        if not _encrypted(realm, base_url(registry)):
            raise AccessDenied(f"registry {registry} wants its password sent unencrypted: refused")
        scope = challenge.parameters.get("scope") or f"repository:{repository}:pull"
        parameters = {"service": challenge.parameters.get("service", registry), "scope": scope}
        return await self._fetch_token(registry, realm, parameters, credential)

    async def _fetch_token(
        self, registry: str, realm: URL, parameters: dict[str, str], credential: Credential | None
    ) -> _Token:
        client = await self._client(realm, base_url(registry).origin())
        if credential and credential.identity_token:
            form = parameters | {
                "grant_type": "refresh_token",
                "refresh_token": credential.identity_token,
                "client_id": "confidential-summarizer",
            }
            request = client.post(realm, data=form, allow_redirects=False)
        else:
            headers = {}
            if credential:
                headers["Authorization"] = aiohttp.encode_basic_auth(credential.username, credential.password)
            request = client.get(realm.update_query(parameters), headers=headers, allow_redirects=False)
        async with request as response:
            if response.status in {400, 401, 403} and credential is None:
                raise AccessDenied(f"registry {registry} lets nobody pull unknown: give credentials for it")
            if response.status in {400, 401, 403}:
                raise AccessDenied(
                    f"registry {registry} refuses the credential: log in again or ask for the right to pull"
                )
            if response.status != 200:
                raise _failure(response, registry, "token")
            document = parse_object(
                await read_limited(response, _TOKEN_LIMIT, "a token"), f"the token of registry {registry}"
            )
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise AccessDenied(f"registry {registry} answered without a token: check its token service")
        lifetime = document.get("expires_in")
        # Any number is compared as it is: a whole one of 400 digits becomes no float.
        seconds = min(lifetime, 86_400) if isinstance(lifetime, int | float) and lifetime > 0 else _TOKEN_LIFETIME
        # A tenth of its life early, so that a token does not end between the check and the call.
        return _Token(f"Bearer {token}", time.monotonic() + 0.9 * seconds)

    async def _client(self, url: URL, registry: URL) -> aiohttp.ClientSession:
        """Return what may ask for a URL: a registry leads others no nearer than it is itself."""
        own, host = registry.host or "", url.host or ""
        limit = Reach.LOCAL if is_loopback(own) else Reach.PRIVATE
        if host != own:
            limit = min(limit, await reach_of_host(registry.scheme, own))
        check_literal(host, limit)
        return self._session(limit)

    def _session(self, limit: Reach) -> aiohttp.ClientSession:
        if self._sessions is None:
            raise RuntimeError("use the registry client as an async context manager")
        if limit not in self._sessions:
            self._sessions[limit] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=BoundedResolver(limit)),
                timeout=_TIMEOUT,
                trust_env=True,
                # Bodies are taken as they are stored: a blob's digest is over its own bytes.
                headers={"Accept-Encoding": "identity", "User-Agent": "confidential-summarizer"},
                auto_decompress=False,
            )
        return self._sessions[limit]


def _encrypted(url: URL, registry: URL) -> bool:
    """Tell whether a registry may lead to a URL: by https, or from this machine to itself."""
    return url.scheme == "https" or (is_loopback(registry.host or "") and is_loopback(url.host or ""))


async def read_limited(response: aiohttp.ClientResponse, limit: int, subject: str) -> bytes:
    """The whole body, unless it is longer than `limit` bytes.

    Raises:
        ImageError: It is longer.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ImageError(f"{subject} is larger than {limit} bytes: refused")
    return bytes(body)


def base_url(registry: str) -> URL:
    """Where a registry is reached: https, except on the loopback address, where container tools use http."""
    host = _API_HOSTS.get(registry, registry)
    url = URL(f"https://{host}")
    return url.with_scheme("http") if is_loopback(url.host or "") else url


def _failure(response: aiohttp.ClientResponse, subject: str, path: str) -> SummarizerError:
    status = response.status
    if status in {401, 403}:
        return AccessDenied(
            f"{subject}: the registry denies pulling ({status}): give credentials with the right to pull"
        )
    if status == 404:
        return ImageError(f"{subject} has no {path.replace('s/', ' ')}: push the image, or correct the reference")
    if status == 429:
        wait = waiting_time(response.headers.get("Retry-After"))
        return Throttled(f"{subject}: the registry asks for fewer calls: try again later", retry_after=wait)
    if status in {408, 425} or status >= 500:
        wait = waiting_time(response.headers.get("Retry-After"))
        return TransientError(
            f"{subject}: the registry answered {status} for {path}: try again later", retry_after=wait
        )
    return ImageError(f"{subject}: the registry answered {status} for {path}: check the reference")


def _delay(attempt: int, failure: SummarizerError) -> float:
    asked = failure.retry_after
    if asked is None:
        return random.uniform(0.5, 1.0) * _FIRST_DELAY * (1 << attempt - 1)  # noqa: S311 - jitter
    if asked > _LONGEST_DELAY:
        raise failure
    return asked
