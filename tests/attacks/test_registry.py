"""A registry, or who answers for one, leads whoever asks it into their own network."""

import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from confidential_summarizer.errors import ImageError, SummarizerError
from confidential_summarizer.registry import RegistryClient, reach
from confidential_summarizer.registry.image import OCI_INDEX
from confidential_summarizer.registry.reach import Reach, reach_of
from tests.support.fake_registry import FakeRegistry

REGISTRY, INSIDE = "127.0.0.2", "127.0.0.1"
"""Loopback numbers both; the tests take the first for a public address."""


@dataclass
class Internet:
    """A registry at `registry.example`, and a victim inside that nobody outside can reach."""

    registry: str = ""
    victim: str = ""
    hits: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        return web.Response(status=int(self.answers["status"]), headers=json.loads(self.answers["headers"]))

    async def hit(self, request: web.Request) -> web.Response:
        self.hits.append(request.path)
        return web.json_response({"token": "x"})

    def challenges(self, realm: str) -> None:
        self.answers = {"status": "401", "headers": json.dumps({"WWW-Authenticate": f'Bearer realm="{realm}"'})}

    def redirects(self, location: str) -> None:
        self.answers = {"status": "307", "headers": json.dumps({"Location": location})}


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x -keyout k -out c"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    return context


@pytest.fixture
async def internet(server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Internet]:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    names = {"registry.example": REGISTRY, "metadata.example": INSIDE, "private.example": "10.0.0.7"}

    def look_up(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names.get(host, host), port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(reach, "reach_of", lambda a: Reach.PUBLIC if a == REGISTRY else reach_of(a))
    there = Internet()
    public, victim = web.Application(), web.Application()
    public.router.add_route("*", "/{path:.*}", there.answer)
    victim.router.add_route("*", "/{path:.*}", there.hit)
    async with TestServer(victim, host=INSIDE) as plain:
        encrypted = TestServer(public, host=REGISTRY, scheme="https")
        await encrypted.start_server(ssl=server_context)
        there.registry, there.victim = f"registry.example:{encrypted.port}", f"{INSIDE}:{plain.port}"
        yield there
        await encrypted.close()


async def refused(internet: Internet, message: str, image: str = "") -> None:
    async with RegistryClient() as client:
        with pytest.raises(SummarizerError, match=message):
            await client.resolve(image or f"{internet.registry}/app:1")
    assert internet.hits == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_its_token_service_is_not_the_loopback_of_whoever_asks(internet: Internet, scheme: str) -> None:
    internet.challenges(f"{scheme}://{internet.victim}/admin/shutdown")
    await refused(internet, "unencrypted|internal address")


@pytest.mark.parametrize(
    "realm",
    [
        "https://169.254.169.254/metadata",
        "https://168.63.129.16/",
        "https://10.0.0.7/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a00:7]/",
        "https://[64:ff9b::a9fe:a9fe]/metadata",
        "https://[64:ff9b:1::a00:7]/",
        "https://[2002:a00:7::]/",
        "https://[fec0::7]/",
    ],
)
async def test_its_token_service_is_not_at_an_address_inside(internet: Internet, realm: str) -> None:
    internet.challenges(realm)
    await refused(internet, "internal address")


def test_a_public_address_stays_one_behind_a_translator() -> None:
    assert reach_of("64:ff9b::808:808") is reach_of("2002:808:808::") is reach_of("8.8.8.8") is Reach.PUBLIC


@pytest.mark.parametrize("name", ["metadata.example", "private.example", "localhost"])
async def test_its_token_service_is_not_at_a_name_of_an_address_inside(internet: Internet, name: str) -> None:
    internet.challenges(f"https://{name}/token")
    await refused(internet, "internal address")


@pytest.mark.parametrize("to", ["https://metadata.example/x", "https://10.0.0.7/x", "http://registry.example/x"])
async def test_its_layers_are_neither_inside_nor_unencrypted(internet: Internet, to: str) -> None:
    internet.redirects(to)
    await refused(internet, "internal address|unencrypted")


async def test_a_registry_is_this_machine_only_where_somebody_asked_for_it(internet: Internet) -> None:
    await refused(internet, "--loopback-registry", f"{internet.victim}/app:1")
    await refused(internet, "--loopback-registry", f"localhost:{internet.victim.rpartition(':')[2]}/app:1")


async def test_a_name_of_the_loopback_is_no_way_round_it(internet: Internet) -> None:
    await refused(internet, "internal address", "metadata.example/app:1")


async def test_it_puts_no_command_into_the_message_that_people_follow(internet: Internet) -> None:
    """`csum why` shows what stands between backticks as what to run next."""
    internet.answers = {"status": "401", "headers": json.dumps({"WWW-Authenticate": "`kubectl${IFS}delete` x"})}
    async with RegistryClient() as client:
        with pytest.raises(SummarizerError, match="unknown way to log in") as refusal:
            await client.resolve(f"{internet.registry}/app:1")
    assert "`" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": OCI_INDEX, "manifests": [{"platform": "linux/amd64"}]},
        {"mediaType": OCI_INDEX, "manifests": [{"platform": ["linux"]}, 7]},
        {"mediaType": OCI_INDEX, "manifests": 7},
        {"layers": [{"mediaType": [], "digest": 7, "size": "x"}]},
        {"layers": {"0": {}}},
        {"config": "sha256"},
    ],
)
async def test_its_fields_of_another_type_end_in_a_sentence(change: dict[str, Any]) -> None:
    fake = FakeRegistry()
    async with fake.serve():
        fake.add_image(b"layer")
        (kind, body), *_ = fake.manifests.values()
        document = json.loads(body) | change
        fake.add_manifest(document | {"mediaType": document.get("mediaType", kind)}, "latest")
        async with RegistryClient(loopback=True) as client:
            with pytest.raises(ImageError):
                await client.resolve(f"{fake.address}/app:latest")
