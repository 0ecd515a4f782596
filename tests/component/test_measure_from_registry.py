"""Images measured from Debian's real registry: cold, with a process for each large layer, and from the cache."""

import asyncio
import contextlib
import gzip
import hashlib
import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import zstandard

from confidential_summarizer.measurement import image as measurement
from confidential_summarizer.measurement.cache import DiskCache, MemoryCache
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.registry import RegistryClient
from tests.support.images import root_hash
from tests.support.tars import Entry, tar

if TYPE_CHECKING:
    from confidential_summarizer.measurement.image import LayerProgress

pytestmark = pytest.mark.slow
LAYERS = [tar(*(Entry(b"f%d" % n, data=bytes([n, number]) * 3000) for n in range(50))) for number in range(4)]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    """Debian's `docker-registry` on a free port."""
    binary = shutil.which("docker-registry")
    if binary is None:
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
        "log": {"level": "error", "accesslog": {"disabled": True}},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    quiet = asyncio.subprocess.DEVNULL
    server = await asyncio.create_subprocess_exec(
        binary, "serve", str(tmp_path / "config.yml"), stdout=quiet, stderr=quiet
    )
    try:
        await ready(address)
        yield address
    finally:
        server.terminate()
        await server.wait()


async def ready(address: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://{address}/v2/") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


async def push(address: str, name: str, layers: list[bytes], *, zstd: bool = False) -> str:
    """Push an image the way any builder does; returns its reference by digest."""
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]},
    }
    compress = zstandard.compress if zstd else gzip.compress
    kind = "application/vnd.oci.image.layer.v1.tar+" + ("zstd" if zstd else "gzip")
    async with aiohttp.ClientSession(f"http://{address}") as session:

        async def blob(data: bytes, media_type: str) -> dict[str, Any]:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            async with session.post(f"/v2/{name}/blobs/uploads/") as started:
                location = started.headers["Location"]
            joiner = "&" if "?" in location else "?"
            async with session.put(f"{location}{joiner}digest={digest}", data=data) as done:
                assert done.status == 201
            return {"mediaType": media_type, "digest": digest, "size": len(data)}

        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": await blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [await blob(compress(layer), kind) for layer in layers],
        }
        headers = {"Content-Type": str(manifest["mediaType"])}
        async with session.put(f"/v2/{name}/manifests/1", json=manifest, headers=headers) as done:
            assert done.status == 201, await done.text()
            return f"{address}/{name}@{done.headers['Docker-Content-Digest']}"


@pytest.mark.parametrize("zstd", [False, True])
@pytest.mark.parametrize("in_processes", [False, True])
async def test_an_image_is_measured_layer_by_layer(
    registry: str, zstd: bool, in_processes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_processes:
        monkeypatch.setattr(measurement, "_INLINE", 0)
    reference = await push(registry, "team/app", LAYERS, zstd=zstd)
    async with RegistryClient(loopback=True) as client:
        measured = await Measurer(MemoryCache()).measure(client, reference)
    assert measured.layers == tuple(map(root_hash, LAYERS))
    assert measured.image.pinned == reference
    assert {detail.compression for detail in measured.details} == {"zstd" if zstd else "gzip"}


async def test_known_layers_are_not_downloaded_again(registry: str, tmp_path: Path) -> None:
    reference = await push(registry, "app", LAYERS)
    seen: list[LayerProgress] = []
    for run in range(2):
        async with RegistryClient(loopback=True) as client:
            measured = await Measurer(DiskCache(tmp_path / "cache"), seen.append).measure(client, reference)
        assert measured.layers == tuple(map(root_hash, LAYERS))
        if run == 0:
            assert not any(progress.cached for progress in seen)
            seen.clear()
    assert len(seen) == len(LAYERS)
    assert all(progress.cached for progress in seen)


async def test_equal_layers_are_read_once(registry: str) -> None:
    reference = await push(registry, "app", [LAYERS[0], LAYERS[1], LAYERS[0]])
    seen: list[LayerProgress] = []
    async with RegistryClient(loopback=True) as client:
        measured = await Measurer(MemoryCache(), seen.append).measure(client, reference)
    assert measured.layers[0] == measured.layers[2]
    assert sum(progress.done == progress.total for progress in seen) == 2


async def test_one_bad_layer_fails_the_image_and_leaves_no_process(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "_INLINE", 0)
    bad = tar(Entry(b"a", data=b"1"), Entry(b"a", data=b"2"))
    reference = await push(registry, "app", [*LAYERS, bad])
    async with RegistryClient(loopback=True) as client:
        with pytest.raises(measurement.UnhashableLayer, match="cannot overwrite file") as caught:
            await Measurer(MemoryCache()).measure(client, reference)
    assert reference in str(caught.value)
