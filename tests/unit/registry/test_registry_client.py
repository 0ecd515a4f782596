import asyncio
import base64
import gc
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from confidential_summarizer.errors import AccessDenied, ImageError, IntegrityError, Throttled, TransientError
from confidential_summarizer.registry import Credential, RegistryClient, StaticCredentials, client, transport
from confidential_summarizer.registry.image import ResolvedImage
from tests.support.fake_registry import INDEX, BrokenAfter, FakeRegistry, digest

LAYER = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited for."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    for module in (client, transport):
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    return waited


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    async with fake.serve():
        yield fake


async def resolve(
    registry: FakeRegistry, name: str = "app:latest", credential: Credential | None = None
) -> ResolvedImage:
    credentials = StaticCredentials({f"{registry.address}/app": credential} if credential else {})
    async with RegistryClient(credentials, loopback=True) as registry_client:
        return await registry_client.resolve(f"{registry.address}/{name}")


async def download(registry: FakeRegistry, image: ResolvedImage) -> bytes:
    async with RegistryClient(loopback=True) as registry_client:
        return b"".join([chunk async for chunk in registry_client.open_layer(image, image.layers[0])])


async def test_an_image_is_resolved_to_digest_config_and_layers(registry: FakeRegistry) -> None:
    made = registry.add_image(LAYER, Entrypoint=["/app"], Cmd=["--serve"], Env=["A=1"], WorkingDir="/srv", User="7")
    image = await resolve(registry)
    assert image.digest == made
    assert image.pinned == f"{registry.address}/app@{made}"
    assert (image.config.entrypoint, image.config.cmd, image.config.env) == (("/app",), ("--serve",), ("A=1",))
    assert image.layers[0].diff_id == digest(LAYER)


async def test_the_image_for_linux_amd64_is_taken_from_an_index(registry: FakeRegistry) -> None:
    def entry(made: str, architecture: str, **more: str) -> dict[str, Any]:
        return {"digest": made, "size": 1, "platform": {"os": "linux", "architecture": architecture, **more}}

    arm = registry.add_image(b"arm", architecture="arm64", tag="arm")
    variant = registry.add_image(b"variant", tag="v3")
    wanted = registry.add_image(LAYER, tag="amd")
    manifests = [entry(arm, "arm64"), entry(variant, "amd64", variant="v3"), entry(wanted, "amd64")]
    registry.add_manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, "many")
    assert (await resolve(registry, "app:many")).digest == wanted


async def test_an_index_without_linux_amd64_says_so(registry: FakeRegistry) -> None:
    registry.add_manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, "none")
    with pytest.raises(ImageError, match="no linux/amd64"):
        await resolve(registry, "app:none")


async def test_an_image_for_another_architecture_is_refused(registry: FakeRegistry) -> None:
    registry.add_image(LAYER, architecture="arm64")
    with pytest.raises(ImageError, match="arm64"):
        await resolve(registry)


async def test_an_unknown_image_is_named(registry: FakeRegistry) -> None:
    with pytest.raises(ImageError, match="has no manifest latest"):
        await resolve(registry)
    assert registry.asked()["/v2/app/manifests/latest"] == 1


async def test_a_manifest_that_is_not_its_digest_is_refused(registry: FakeRegistry) -> None:
    made = registry.add_image(LAYER)
    kind, body = registry.manifests[made]
    registry.manifests[made] = (kind, body + b" ")
    with pytest.raises(IntegrityError):
        await resolve(registry, f"app@{made}")


async def test_a_config_that_is_not_its_digest_is_refused(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    manifest = json.loads(registry.manifests["latest"][1])
    registry.blobs[manifest["config"]["digest"]] = b"{}"
    with pytest.raises(IntegrityError, match="config"):
        await resolve(registry)


async def test_a_layer_that_is_not_its_digest_is_refused_at_its_end(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    stored = registry.blobs[image.layers[0].digest]
    registry.blobs[image.layers[0].digest] = stored[:-1] + bytes([stored[-1] ^ 1])
    with pytest.raises(IntegrityError, match="other bytes"):
        await download(registry, image)


async def test_a_layer_longer_than_announced_is_cut_off_and_refused(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    registry.blobs[image.layers[0].digest] += bytes(50 << 20)
    with pytest.raises(IntegrityError):
        await download(registry, image)


async def test_a_broken_download_goes_on_where_it_stopped(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    stored = registry.blobs[image.layers[0].digest]
    broken = [len(stored) // 3]

    def rule(request: web.Request) -> web.StreamResponse | None:
        if "/blobs/" in request.path and broken:
            return BrokenAfter(stored, broken.pop())
        return None

    registry.rules.append(rule)
    registry.requests.clear()
    assert await download(registry, image) == stored
    ranges = [headers.get("Range") for _, headers in registry.requests]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) <= len(stored) // 3


async def test_a_server_that_ignores_ranges_still_gives_the_whole_layer(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    stored = registry.blobs[image.layers[0].digest]
    answers = [lambda: BrokenAfter(stored, 100), lambda: web.Response(body=stored)]
    registry.rules.append(lambda request: answers.pop(0)() if "/blobs/" in request.path and answers else None)
    assert await download(registry, image) == stored


async def test_a_download_that_always_breaks_is_transient(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    registry.rules.append(lambda request: BrokenAfter(LAYER, 10) if "/blobs/" in request.path else None)
    with pytest.raises((TransientError, IntegrityError)):
        await download(registry, image)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed_and_the_call_goes_through(
    registry: FakeRegistry, pauses: list[float], status: int
) -> None:
    registry.add_image(LAYER)
    answers = [web.Response(status=status, headers={"Retry-After": asked}) for asked in ("0", "30")]
    registry.rules.append(lambda request: answers.pop() if answers else None)
    assert (await resolve(registry)).layers
    assert pauses == [30, 0]


@pytest.mark.parametrize("status", [408, 425, 500, 599])
async def test_what_may_pass_is_asked_again(registry: FakeRegistry, status: int) -> None:
    registry.add_image(LAYER)
    answers = [web.Response(status=status)]
    registry.rules.append(lambda request: answers.pop() if answers else None)
    assert (await resolve(registry)).layers


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, AccessDenied, "unknown way to log in: none named"),
        (403, AccessDenied, "right to pull"),
        (418, ImageError, "418 for manifests"),
        (307, ImageError, "answered 307"),
    ],
)
async def test_what_stays_as_it_is_is_asked_once(
    registry: FakeRegistry, status: int, error: type[Exception], message: str
) -> None:
    registry.rules.append(lambda request: web.Response(status=status))
    with pytest.raises(error, match=message):
        await resolve(registry)
    assert registry.asked()["/v2/app/manifests/latest"] == 1


async def test_nobody_is_asked_for_ever_and_each_time_later(registry: FakeRegistry, pauses: list[float]) -> None:
    registry.rules.append(lambda request: web.Response(status=503))
    with pytest.raises(TransientError, match="answered 503"):
        await resolve(registry)
    assert registry.asked()["/v2/app/manifests/latest"] == 5
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, (0.5, 1, 2, 4), strict=True))


async def test_a_registry_s_bytes_are_asked_for_and_taken_as_they_are_stored(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    image = await resolve(registry)
    stored = registry.blobs[image.layers[0].digest]
    unpacking = web.Response(body=stored, headers={"Content-Encoding": "gzip"})
    registry.rules.append(lambda request: unpacking if "/blobs/" in request.path else None)
    assert await download(registry, image) == stored
    assert {headers["Accept-Encoding"] for _, headers in registry.requests} == {"identity"}
    assert {headers["User-Agent"] for _, headers in registry.requests} == {"confidential-summarizer"}


@pytest.mark.parametrize(("status", "error"), [(429, Throttled), (503, TransientError)])
async def test_a_long_retry_after_is_handed_to_the_caller(
    registry: FakeRegistry, pauses: list[float], status: int, error: type[TransientError]
) -> None:
    registry.rules.append(lambda request: web.Response(status=status, headers={"Retry-After": "31"}))
    with pytest.raises(error) as caught:
        await resolve(registry)
    assert caught.value.retry_after == 31
    assert pauses == []


async def test_a_registry_that_takes_a_call_and_says_nothing_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TIMEOUT", aiohttp.ClientTimeout(sock_read=0.01))
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        async with RegistryClient(loopback=True) as registry_client:
            with pytest.raises(TransientError, match="cannot be reached"):
                await registry_client.resolve(f"{host}:{port}/app")


async def test_a_registry_is_asked_through_the_proxy_of_the_environment(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add_image(LAYER)
    monkeypatch.setenv("http_proxy", f"http://{registry.address}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with RegistryClient(loopback=True) as registry_client:
        assert (await registry_client.resolve("127.0.0.1:1/app")).layers


async def test_a_client_is_used_between_its_beginning_and_its_end_and_leaves_nothing_open(
    registry: FakeRegistry,
) -> None:
    registry.add_image(LAYER)
    registry_client = RegistryClient(loopback=True)
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: left.append(context))
    with pytest.raises(RuntimeError, match="context manager"):
        await registry_client.resolve(f"{registry.address}/app")
    async with registry_client:
        await registry_client.resolve(f"{registry.address}/app")
    with pytest.raises(RuntimeError, match="context manager"):
        await registry_client.resolve(f"{registry.address}/app")
    gc.collect()
    assert left == []


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("party1.azurecr.io", "https://party1.azurecr.io"),
        ("localhost:5000", "http://localhost:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_a_registry_is_asked_by_https_unless_it_is_this_machine(name: str, url: str) -> None:
    assert transport.base_url(name) == URL(url)


async def test_a_registry_that_is_not_there_is_transient() -> None:
    async with RegistryClient(loopback=True) as registry_client:
        with pytest.raises(TransientError, match="cannot be reached"):
            await registry_client.resolve("127.0.0.1:1/app")


async def test_basic_credentials_are_sent_when_asked_for(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    expected = "Basic " + base64.b64encode(b"u:p").decode()

    def rule(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == expected:
            return None
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="registry"'})

    registry.rules.append(rule)
    assert (await resolve(registry, credential=Credential("u", "p"))).layers
    with pytest.raises(AccessDenied, match="user and password"):
        await resolve(registry)
    with pytest.raises(AccessDenied, match="denies"):
        await resolve(registry, credential=Credential("u", "wrong"))


SCOPE = "repository:app:pull,metadata_read"


class TokenService:
    """Answers 401 until a request carries the token that its own endpoint gave out."""

    def __init__(self, registry: FakeRegistry, *, realm: str = "", **answer: Any) -> None:
        self.registry = registry
        self.realm = realm
        self.answer = answer or {"access_token": "good", "expires_in": 300}
        self.forms: list[dict[str, str]] = []

    def __call__(self, request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            self.forms.append({"method": request.method, **request.query})
            return web.json_response(self.answer)
        if request.headers.get("Authorization") == "Bearer good":
            return None
        realm = self.realm or f"http://{self.registry.address}/token"
        challenge = f'Bearer realm="{realm}",service="registry.example",scope="{SCOPE}"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})


async def test_a_token_is_fetched_once_and_used_for_everything(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    service = TokenService(registry)
    registry.rules.append(service)
    await resolve(registry, credential=Credential("u", "p"))
    assert service.forms == [{"method": "GET", "service": "registry.example", "scope": SCOPE}]
    sent = [headers["Authorization"] for path, headers in registry.requests if path == "/token"]
    assert sent == [aiohttp.encode_basic_auth("u", "p")]


async def test_a_refresh_token_is_traded_by_post(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    service = TokenService(registry)
    registry.rules.append(service)
    await resolve(registry, credential=Credential(identity_token="refresh"))
    assert [form["method"] for form in service.forms] == ["POST"]
    assert registry.forms == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh",
            "client_id": "confidential-summarizer",
            "service": "registry.example",
            "scope": SCOPE,
        }
    ]


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ({"token": "good"}, 1),
        ({"token": "good", "expires_in": 0}, 1),
        ({"token": "good", "expires_in": "soon"}, 1),
        ({"token": "good", "expires_in": 10**400}, 1),
        ({"access_token": "good", "expires_in": 1e-6}, 2),
    ],
)
async def test_a_token_is_used_while_it_lives_and_for_a_minute_where_nobody_says_how_long_that_is(
    registry: FakeRegistry, answer: dict[str, Any], times: int
) -> None:
    registry.add_image(LAYER)
    service = TokenService(registry, **answer)
    registry.rules.append(service)
    assert (await resolve(registry)).layers
    assert len(service.forms) == times


async def test_a_token_serves_one_repository_until_a_tenth_of_its_life_is_left(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=lambda: now))
    registry.add_image(LAYER)
    service = TokenService(registry, token="good", expires_in=100)
    registry.rules.append(service)
    fetched = []
    async with RegistryClient(loopback=True) as registry_client:
        for then, repository in [(1000, "app"), (1089, "app"), (1090, "app"), (1090, "other"), (1090, "app")]:
            now = then
            await registry_client.resolve(f"{registry.address}/{repository}")
            fetched.append(len(service.forms))
    assert fetched == [1, 1, 2, 3, 3]


@pytest.mark.parametrize("credential", [Credential("u", "p"), Credential(identity_token="refresh")])
async def test_a_token_service_leads_no_secret_elsewhere(registry: FakeRegistry, credential: Credential) -> None:
    elsewhere = FakeRegistry()
    async with elsewhere.serve():
        moved = web.Response(status=307, headers={"Location": f"http://{elsewhere.address}/token"})
        registry.rules += [lambda request: moved if request.path == "/token" else None, TokenService(registry)]
        with pytest.raises(ImageError, match="answered 307 for token"):
            await resolve(registry, credential=credential)
    assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [{"token": 7}, {"other": "x"}])
async def test_a_token_service_that_gives_none_is_named(registry: FakeRegistry, answer: dict[str, Any]) -> None:
    registry.rules.append(TokenService(registry, **answer))
    with pytest.raises(AccessDenied, match="without a token"):
        await resolve(registry)


async def test_a_token_that_does_not_end_is_refused(registry: FakeRegistry) -> None:
    registry.rules.append(TokenService(registry, token="good" * (1 << 18)))
    with pytest.raises(ImageError, match="a token is larger than"):
        await resolve(registry)


def challenging(header: str, status: int) -> Any:
    """Answer everything with a challenge, and a token service with a status."""

    def rule(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.Response(status=status)
        address = f"http://{request.host}/token"
        return web.Response(status=401, headers={"WWW-Authenticate": header.format(address)})

    return rule


@pytest.mark.parametrize(
    ("header", "status", "error", "message"),
    [
        ('Bearer realm="{}"', 400, AccessDenied, "lets nobody pull unknown"),
        ('Bearer realm="{}"', 401, AccessDenied, "lets nobody pull unknown"),
        ('Bearer realm="{}"', 403, AccessDenied, "lets nobody pull unknown"),
        ('Bearer realm="{}"', 503, TransientError, "answered 503 for token"),
        ("Negotiate", 200, AccessDenied, "unknown way to log in: negotiate"),
        ("Bearer", 200, AccessDenied, "unknown way to log in: bearer"),
        ("`rm`", 200, AccessDenied, "unknown way to log in: none named"),
    ],
)
async def test_who_cannot_log_in_is_told_why(
    registry: FakeRegistry, header: str, status: int, error: type[Exception], message: str
) -> None:
    registry.rules.append(challenging(header, status))
    with pytest.raises(error, match=message):
        await resolve(registry)


@pytest.mark.parametrize(("status", "header"), [(307, "Location: {}"), (401, 'WWW-Authenticate: Bearer realm="{}"')])
@pytest.mark.parametrize("address", ["https://[", "https://a.example:99999/", "https://a.example:b/", "https://a..b/"])
async def test_what_is_no_address_is_followed_by_an_error_of_ours(
    registry: FakeRegistry, address: str, status: int, header: str
) -> None:
    name, _, value = header.format(address).partition(": ")
    registry.rules.append(lambda request: web.Response(status=status, headers={name: value}))
    with pytest.raises(ImageError, match="malformed"):
        await resolve(registry)
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    ("answer", "credential"), [({"token": "good\n"}, None), ({"token": "good"}, Credential("u:v", "p"))]
)
async def test_what_cannot_stand_in_a_header_is_an_error_of_ours(
    registry: FakeRegistry, answer: dict[str, Any], credential: Credential | None
) -> None:
    registry.rules.append(TokenService(registry, **answer))
    with pytest.raises(ImageError, match="malformed"):
        await resolve(registry, credential=credential)


async def test_a_registry_whose_name_is_no_address_is_refused() -> None:
    async with RegistryClient() as registry_client:
        with pytest.raises(ImageError, match="malformed"):
            await registry_client.resolve("a..b/app")


async def test_a_challenge_that_names_neither_service_nor_scope_means_this_registry_and_pulling(
    registry: FakeRegistry,
) -> None:
    asked: list[dict[str, str]] = []

    def rule(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            asked.append(dict(request.query))
        return None

    registry.rules += [rule, challenging("BEARER Realm={}", 403)]
    with pytest.raises(AccessDenied):
        await resolve(registry)
    assert asked == [{"service": registry.address, "scope": "repository:app:pull"}]


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refused_credential_is_somebody_elses_turn(registry: FakeRegistry, status: int) -> None:
    registry.rules.append(challenging('Bearer realm="{}"', status))
    with pytest.raises(AccessDenied, match="refuses the credential"):
        await resolve(registry, credential=Credential("u", "wrong"))


async def test_a_password_is_never_sent_unencrypted_to_another_host(registry: FakeRegistry) -> None:
    registry.rules.append(TokenService(registry, realm="http://evil.example/token"))
    with pytest.raises(AccessDenied, match="unencrypted"):
        await resolve(registry, credential=Credential("u", "p"))


async def test_a_redirect_to_storage_is_followed_without_the_credential(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    storage = FakeRegistry(blobs=registry.blobs)
    registry.rules.append(TokenService(registry))
    async with storage.serve():

        def rule(request: web.Request) -> web.StreamResponse | None:
            if "/blobs/" in request.path:
                raise web.HTTPTemporaryRedirect(
                    f"http://{storage.address}/v2/storage/blobs/{request.path.rpartition('/')[2]}"
                )
            return None

        registry.rules.append(rule)
        image = await resolve(registry)
        assert await download(registry, image) == registry.blobs[image.layers[0].digest]
    assert storage.requests
    assert all("Authorization" not in headers for _, headers in storage.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_as_long_as_they_lead_somewhere(registry: FakeRegistry, status: int) -> None:
    registry.add_image(LAYER)

    def moved(name: str) -> Any:
        location = f"/v2/app/manifests/{name}"
        return lambda request: (
            web.Response(status=status, headers={"Location": location})
            if request.path.endswith(("/manifests/moved", "/manifests/turning"))
            else None
        )

    registry.rules = [moved("latest")]
    assert (await resolve(registry, "app:moved")).layers
    registry.rules = [moved("turning")]
    with pytest.raises(TransientError, match="redirects without end"):
        await resolve(registry, "app:turning")


async def test_different_numbers_of_layers_and_diff_ids_are_refused(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    manifest = json.loads(registry.manifests["latest"][1])
    manifest["layers"] *= 2
    registry.add_manifest(manifest, "odd")
    with pytest.raises(ImageError, match="2 layers but 1 diff_ids"):
        await resolve(registry, "app:odd")


async def test_a_manifest_that_is_no_image_is_refused(registry: FakeRegistry) -> None:
    registry.add_manifest({"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}, "old")
    with pytest.raises(ImageError, match="schema 2"):
        await resolve(registry, "app:old")


async def test_a_manifest_is_read_up_to_the_limit_of_registries_and_no_further(registry: FakeRegistry) -> None:
    registry.add_image(LAYER)
    kind, body = registry.manifests["latest"]
    registry.manifests["latest"] = (kind, body.ljust(4 << 20))
    assert (await resolve(registry)).layers
    registry.manifests["latest"] = (kind, body.ljust((4 << 20) + 1))
    with pytest.raises(ImageError, match="larger than"):
        await resolve(registry)
