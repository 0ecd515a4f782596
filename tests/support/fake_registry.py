"""A registry of a few lines that can misbehave: broken downloads, wrong bytes, throttling, tokens, redirects."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
Handler = Callable[[web.Request], web.StreamResponse | None]


def digest(data: bytes) -> str:
    """`sha256:` and the digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class FakeRegistry:
    """Holds blobs and manifests; `rules` may answer a request before it does."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    rules: list[Handler] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def add_blob(self, data: bytes) -> str:
        """Store a blob."""
        self.blobs[digest(data)] = data
        return digest(data)

    def add_manifest(self, document: dict[str, Any], *names: str) -> str:
        """Store a manifest under its digest and some tags."""
        body = json.dumps(document).encode()
        for name in (digest(body), *names):
            self.manifests[name] = (document["mediaType"], body)
        return digest(body)

    def add_image(self, *layers: bytes, tag: str = "latest", architecture: str = "amd64", **config: Any) -> str:
        """Store an image of uncompressed layers; returns its digest."""
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
        stored = [gzip.compress(layer, mtime=0) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [self._descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in stored],
        }
        return self.add_manifest(manifest, tag)

    def asked(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(path for path, _ in self.requests)

    def blob_requests(self) -> list[str]:
        """The blobs that were asked for."""
        return [path.rpartition("/")[2] for path, _ in self.requests if "/blobs/" in path]

    def _descriptor(self, data: bytes, kind: str) -> dict[str, Any]:
        return {"mediaType": kind, "digest": self.add_blob(data), "size": len(data)}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Run on a free port of the loopback address; gives the registry's name."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        server = TestServer(app)
        await server.start_server()
        self.address = f"{server.host}:{server.port}"
        try:
            yield self.address
        finally:
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.headers)))
        if request.method == "POST":
            self.forms.append(dict(await request.post()))
        for rule in self.rules:
            answer = rule(request)
            if answer is not None:
                return answer
        _, _, rest = request.path.partition("/v2/")
        repository, kind, name = rest.rpartition("/manifests/")
        if kind and name in self.manifests:
            media_type, body = self.manifests[name]
            return web.Response(body=body, content_type=media_type)
        repository, kind, name = rest.rpartition("/blobs/")
        if kind and name in self.blobs:
            return self._blob(request, self.blobs[name])
        return web.json_response({"errors": [{"code": "NAME_UNKNOWN", "message": repository}]}, status=404)

    @staticmethod
    def _blob(request: web.Request, data: bytes) -> web.Response:
        asked = request.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return web.Response(body=data)
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(body=data[start:], status=206, headers=headers)


class BrokenAfter(web.Response):
    """A body that stops before its announced length, with the connection closed."""

    def __init__(self, data: bytes, sent: int) -> None:
        super().__init__(body=data)
        self._sent = data[:sent]

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the beginning, then close."""
        assert self._payload_writer is not None
        await self._payload_writer.write(self._sent)
        assert self._req is not None
        assert self._req.transport is not None
        self._req.transport.close()
