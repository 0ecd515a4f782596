"""Azure for the operator's figures: every service answers at once, and counts what it is asked.

`python -m tests.bench.azure_at_once HOME`: the vaults, Resource Manager, Entra, the registry and the pages of all groups
in one process. It keeps nothing, checks nothing and takes no time, so that what is measured is the operator's own. The
sandbox's stand-ins are the other way round: they behave as Azure does, limits and waiting included.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import ssl
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from azure_sandbox.certificates import CertificateAuthority, server_context
from azure_sandbox.faults import Faults
from azure_sandbox.network.names import exists
from azure_sandbox.network.proxy import ConnectProxy
from azure_sandbox.state import SandboxState
from confidential_summarizer.blueprint import PAGE_PORT
from tests.support.attested import Attested
from tests.support.fake_registry import FakeRegistry
from tests.support.resources import ATTESTATION
from tests.support.tars import END, Entry

GROUPS = int(os.environ.get("CSUM_BENCH_RESOURCES", "1000"))
IMAGES = {"summarizer": b"summarizes", "aci/encfs": b"opens file systems"}
LOGIN = "https://login.microsoftonline.com/tenant"


def address(index: int) -> str:
    """The loopback address of one group; 127.77.0.0/16 belongs to sandboxes."""
    return f"127.78.{index // 250}.{index % 250 + 1}"


def registry() -> tuple[FakeRegistry, dict[str, str]]:
    """A registry with the images, and their digests."""
    fake = FakeRegistry()
    env = {"Entrypoint": ["/app"], "Env": ["PATH=/bin"], "WorkingDir": "/"}
    return fake, {
        name: fake.add_image(bytes(Entry(b"app", data=content)) + END, tag=name, config=env)
        for name, content in IMAGES.items()
    }


@dataclass
class Azure:
    """All services; `asked` counts requests by service and method."""

    peer: str
    registry: FakeRegistry
    attested: Attested = field(default_factory=lambda: Attested(datetime.now(UTC)))
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request of any service but the pages."""
        host = request.host.partition(":")[0]
        if host == "mcr.microsoft.com":
            return await self.registry._answer(request)
        if host == "asked":
            return web.json_response(self.asked)
        service = next(name for name in ("management", "managedhsm", "login", "attest") if name in host)
        listing = request.path.rstrip("/").endswith("/containerGroups")
        self.asked[f"{service} {'LIST' if listing else request.method}"] += 1
        return await getattr(self, service)(request)

    async def login(self, request: web.Request) -> web.Response:
        """Sign everybody in."""
        if request.method == "POST":
            return web.json_response({"token_type": "Bearer", "expires_in": 86400, "access_token": "token"})
        if "instance" in request.path:
            metadata = [
                {
                    "preferred_network": "login.microsoftonline.com",
                    "preferred_cache": "login.microsoftonline.com",
                    "aliases": ["login.microsoftonline.com"],
                }
            ]
            return web.json_response(
                {"tenant_discovery_endpoint": f"{LOGIN}/v2.0/.well-known/openid-configuration", "metadata": metadata}
            )
        endpoints = {
            "token_endpoint": f"{LOGIN}/oauth2/v2.0/token",
            "authorization_endpoint": f"{LOGIN}/oauth2/v2.0/authorize",
        }
        return web.json_response({**endpoints, "issuer": f"{LOGIN}/v2.0"})

    async def managedhsm(self, request: web.Request) -> web.Response:
        """Keep keys."""
        if "Authorization" not in request.headers:
            challenge = f'Bearer authorization="{LOGIN}", resource="https://managedhsm.azure.net"'
            return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})
        name = request.path.split("/")[2]
        if request.method == "GET" and name not in self.keys:
            return web.json_response({"error": {"code": "KeyNotFound", "message": "none"}}, status=404)
        if request.method in ("PUT", "PATCH"):
            sent = await request.json()
            known = self.keys.setdefault(name, {"attributes": {"enabled": True, "exportable": True}})
            known |= {part: sent[part] for part in ("release_policy", "tags") if part in sent}
            known["key"] = {"kid": f"https://{request.host}/keys/{name}/1", "kty": "oct-HSM"}
        return web.json_response(self.keys[name])

    async def management(self, request: web.Request) -> web.Response:
        """Keep container groups: each runs as soon as it is sent."""
        parts = request.path.strip("/").split("/")
        if len(parts) == 7:
            here = "/".join(parts).lower() + "/"
            return web.json_response({"value": [g for key, g in self.groups.items() if key.startswith(here)]})
        key = "/".join(parts).lower()
        if request.method == "PUT":
            body = await request.json()
            number = len(self.groups)
            body |= {"id": request.path, "name": parts[-1]}
            body["properties"] |= {"provisioningState": "Succeeded", "instanceView": {"state": "Running"}}
            body["properties"]["ipAddress"]["ip"] = address(number)
            policy = base64.b64decode(body["properties"]["confidentialComputeProperties"]["ccePolicy"])
            self.policies[address(number)] = hashlib.sha256(policy).hexdigest()
            self.groups[key] = body
            return web.json_response(body, status=201)
        if key not in self.groups:
            return web.json_response({"error": {"code": "ResourceNotFound", "message": "none"}}, status=404)
        return web.json_response(self.groups[key])

    async def attest(self, request: web.Request) -> web.Response:
        """Publish the signing key."""
        if request.path.endswith("openid-configuration"):
            return web.json_response({"issuer": f"https://{ATTESTATION}", "jwks_uri": f"https://{ATTESTATION}/certs"})
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.attested.key.public_key()))
        return web.json_response({"keys": [{**key, "kid": "k1"}]})

    async def page(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the page of the group that has the address."""
        assert request.transport is not None
        host_data = self.policies[request.transport.get_extra_info("sockname")[0]]
        if request.path == "/api/status":
            self.asked["page status"] += 1
            return web.json_response({"state": "Ready"})
        self.asked["page evidence"] += 1
        return web.json_response(self.attested.evidence(request.query["nonce"], host_data, self.peer))


async def main(home: Path) -> None:
    """Serve until SIGTERM."""
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, until.set)
    state = SandboxState(home)
    authority = CertificateAuthority.open(state.ca)
    leaf = authority.leaf("page.internal")
    key = x509.load_pem_x509_certificate(leaf.read_bytes()).public_key()
    peer = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    azure = Azure(peer, registry()[0])
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", azure.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = state.port("stand_ins")
    context = server_context(authority, exists)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    proxy = ConnectProxy({"stand_ins": port}, Faults())
    await proxy.start(state.port("proxy"))
    # Counters for the bench, without TLS.
    await web.TCPSite(runner, "127.0.0.1", state.ports("asked")["asked"]).start()
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(leaf)
    pages = web.ServerRunner(web.Server(azure.page, access_log=None))
    await pages.setup()
    hosts = [address(index) for index in range(GROUPS + 50)]
    await loop.create_server(pages.server, hosts, PAGE_PORT, ssl=inside, backlog=8)
    await until.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
