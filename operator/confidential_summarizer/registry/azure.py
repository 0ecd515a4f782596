"""Azure's registries, with an identity in place of a password.

Protocol: `POST /oauth2/exchange` of a registry takes a token of Azure AD and gives a refresh token of its own, which is
traded in like any other (docs of Azure/acr, "AAD-OAuth").
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from confidential_summarizer.errors import AccessDenied, TransientError
from confidential_summarizer.hosts import is_azure_registry
from confidential_summarizer.registry.credentials import Credential
from confidential_summarizer.registry.image import parse_object
from confidential_summarizer.registry.transport import read_limited

AUDIENCE = "https://containerregistry.azure.net/.default"
"""The scope of Azure AD's token for it, in every cloud."""

_REMEMBERED_SECONDS = 3600.0
"""A registry's refresh token lasts three hours."""
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_LIMIT = 64 * 1024


@dataclass
class AzureIdentity:
    """Knows the credential of every registry of Azure that an identity may pull from.

    Where the identity has no right, there is no credential: the registry may let everybody pull.

    Args:
        token: Returns a token of Azure AD with the scope `AUDIENCE`; AccessDenied where none can be had.
    """

    token: Callable[[], Awaitable[str]]
    _known: dict[str, tuple[float, Credential]] = field(default_factory=dict, repr=False)

    async def credential_for(self, registry: str, repository: str) -> Credential | None:
        """Exchange the identity's token for the registry's; it is sent to Azure's registries and to no other host."""
        if not is_azure_registry(registry):
            return None
        known = self._known.get(registry)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        credential = await self._exchanged(registry)
        if credential is not None:  # a role that was given a minute ago counts at the next try
            self._known[registry] = (time.monotonic() + _REMEMBERED_SECONDS, credential)
        return credential

    async def _exchanged(self, registry: str) -> Credential | None:
        try:
            form = {"grant_type": "access_token", "service": registry, "access_token": await self.token()}
        except AccessDenied:
            return None
        url = URL(f"https://{registry}/oauth2/exchange")
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as session,
                session.post(url, data=form, allow_redirects=False) as response,
            ):
                if response.status in {400, 401, 403}:
                    return None
                if response.status != 200:
                    raise TransientError(f"registry {registry} answered {response.status} to the exchange of a token")
                text = await read_limited(response, _LIMIT, "a token")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransientError(f"registry {registry} cannot be reached ({type(error).__name__})") from None
        token = parse_object(text, f"the token of registry {registry}").get("refresh_token")
        return Credential(identity_token=token) if isinstance(token, str) else None
