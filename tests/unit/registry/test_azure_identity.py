"""An identity in place of a password: its token is exchanged at Azure's registries, and shown to nobody else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from confidential_summarizer.errors import AccessDenied, TransientError
from confidential_summarizer.hosts import is_azure_registry
from confidential_summarizer.registry import azure
from confidential_summarizer.registry.azure import AzureIdentity

PLANTED = "planted-aad-token"


@dataclass
class Registry:
    """The token exchange of a registry of Azure."""

    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def exchange(self, request: web.Request) -> web.Response:
        self.asked.append(dict(await request.post()))
        return web.json_response({"refresh_token": "the-registry's"}, status=self.status)


@pytest.fixture
async def registry(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Registry]:
    registry = Registry()
    app = web.Application()
    app.router.add_post("/oauth2/exchange", registry.exchange)
    async with TestServer(app) as server:
        # The server has no certificate: it stands where https://party1.azurecr.io would.
        monkeypatch.setattr(azure, "URL", lambda text: server.make_url(URL(text).path))
        yield registry


async def token() -> str:
    return PLANTED


async def test_the_identity_s_token_is_exchanged_once_for_the_registry_s_own(registry: Registry) -> None:
    source = AzureIdentity(token)
    for _ in range(2):
        credential = await source.credential_for("party1.azurecr.io", "summarizer")
        assert credential is not None
        assert credential.identity_token == "the-registry's"
    assert registry.asked == [{"grant_type": "access_token", "service": "party1.azurecr.io", "access_token": PLANTED}]
    assert PLANTED not in repr(source)


@pytest.mark.parametrize("host", ["ghcr.io", "azurecr.io.mallory.example", "mallory.example", "127.0.0.1:5000"])
async def test_no_other_host_is_sent_the_token(registry: Registry, host: str) -> None:
    async def never() -> str:
        raise AssertionError("asked for a token")

    assert await AzureIdentity(never).credential_for(host, "summarizer") is None
    assert registry.asked == []


async def test_an_identity_without_the_right_pulls_like_everybody_and_is_asked_again(registry: Registry) -> None:
    source = AzureIdentity(token)
    registry.status = 401
    assert await source.credential_for("party1.azurecr.io", "summarizer") is None
    registry.status = 200
    assert await source.credential_for("party1.azurecr.io", "summarizer") is not None


async def test_without_a_credential_for_azure_everybody_s_right_is_left() -> None:
    async def refused() -> str:
        raise AccessDenied("no credential could be had")

    assert await AzureIdentity(refused).credential_for("party1.azurecr.io", "summarizer") is None


async def test_an_outage_of_the_exchange_is_no_refusal(registry: Registry) -> None:
    registry.status = 503
    with pytest.raises(TransientError, match="503"):
        await AzureIdentity(token).credential_for("party1.azurecr.io", "summarizer")


def test_registries_of_every_cloud_are_azure_s() -> None:
    assert all(
        map(
            is_azure_registry, ("party1.azurecr.io", "party1-a1b2.azurecr.io", "party1.azurecr.us", "p12345.azurecr.cn")
        )
    )
    assert not is_azure_registry("azurecr.io")
