import asyncio
import gzip
import hashlib
import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from confidential_summarizer.errors import ImageError, IntegrityError
from confidential_summarizer.measurement.cache import MemoryCache
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.registry import ImageArchive
from tests.support.images import root_hash
from tests.support.tars import Entry, tar

LAYERS = [tar(Entry(b"base", data=b"base" * 100)), tar(Entry(b"top", data=b"top" * 5000))]
CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "config": {"Cmd": ["/x"]},
    "rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in LAYERS]},
}


def write_tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            out.addfile(info)
    return path


def docker_archive(path: Path, tags: tuple[str, ...] = ("x.io/app:1",)) -> Path:
    files = {"c.json": json.dumps(CONFIG).encode(), "1/layer.tar": LAYERS[0], "2/layer.tar": LAYERS[1]}
    entries = [{"Config": "c.json", "RepoTags": [tag], "Layers": ["1/layer.tar", "2/layer.tar"]} for tag in tags]
    return write_tar(path, {**files, "manifest.json": json.dumps(entries).encode()})


def layout_files(*names: str) -> dict[str, bytes]:
    blobs: dict[str, bytes] = {}

    def add(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": "application/octet-stream"}

    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add(json.dumps(CONFIG).encode()),
        "layers": [add(gzip.compress(layer, mtime=0)) for layer in LAYERS],
    }
    entry = add(json.dumps(manifest).encode())
    platform = {"os": "linux", "architecture": "amd64"}
    index = {"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry | {"platform": platform}]}
    nested = add(json.dumps(index).encode()) | {"mediaType": index["mediaType"]}
    manifests = [nested | {"annotations": {"io.containerd.image.name": name}} for name in names] or [nested]
    return {
        **blobs,
        "index.json": json.dumps({"manifests": manifests}).encode(),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }


def measured(path: Path, reference: str = "") -> tuple[str, ...]:
    async def run() -> tuple[str, ...]:
        with ImageArchive(path) as archive:
            return (await Measurer(MemoryCache()).measure(archive, reference)).layers

    return asyncio.run(run())


EXPECTED = tuple(map(root_hash, LAYERS))


def test_an_archive_of_docker_save_is_measured(tmp_path: Path) -> None:
    assert measured(docker_archive(tmp_path / "a.tar")) == EXPECTED
    assert measured(tmp_path / "a.tar", "x.io/app:1") == EXPECTED


def test_a_layout_is_measured_as_a_tar_and_as_a_folder(tmp_path: Path) -> None:
    files = layout_files()
    assert measured(write_tar(tmp_path / "layout.tar", {f"./{name}": data for name, data in files.items()})) == EXPECTED
    for name, data in files.items():
        (tmp_path / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "layout" / name).write_bytes(data)
    assert measured(tmp_path / "layout") == EXPECTED


def test_one_of_several_images_must_be_named(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar", ("x.io/app:1", "x.io/app:2"))
    with pytest.raises(ImageError, match="2 images"):
        measured(path)
    assert measured(path, "x.io/app:2") == EXPECTED
    layout = write_tar(tmp_path / "l.tar", layout_files("x.io/app:1", "x.io/app:2"))
    with pytest.raises(ImageError, match="2 images"):
        measured(layout, "x.io/other")
    assert measured(layout, "x.io/app:2") == EXPECTED


def test_a_blob_that_is_not_its_digest_is_refused(tmp_path: Path) -> None:
    files = {
        name: (data[:-9] + b"123456789" if data.startswith(b"\x1f\x8b") else data)
        for name, data in layout_files().items()
    }
    with pytest.raises((IntegrityError, ImageError)):
        measured(write_tar(tmp_path / "bad.tar", files))


def test_a_layer_that_is_not_its_diff_id_is_refused(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes().replace(b"toptop", b"toptip"))
    with pytest.raises(IntegrityError, match="its config says"):
        measured(path)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"manifest.json": b"[]"},
        {"manifest.json": b"nonsense"},
        {"manifest.json": b'[{"Config":"../../etc/passwd","Layers":[]}]'},
        {"manifest.json": b'[{"Config":"missing.json","Layers":[]}]'},
        {"index.json": b'{"manifests":[{"digest":"sha256:../../x"}]}', "oci-layout": b""},
        {"index.json": b'{"manifests":[]}', "oci-layout": b""},
        {"index.json": b'{"manifests":7}', "oci-layout": b""},
        {"index.json": b'{"manifests":[{"annotations":7},{"annotations":"x"}]}', "oci-layout": b""},
        {"manifest.json": b'[{"RepoTags":7},{"RepoTags":[7]}]'},
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(ImageError):
        measured(write_tar(tmp_path / "odd.tar", files))


def test_a_file_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="cannot be read"):
        measured(tmp_path / "x")


def test_links_between_layers_of_a_docker_archive_are_followed(tmp_path: Path) -> None:
    files = {"c.json": json.dumps(CONFIG).encode(), "1/layer.tar": LAYERS[0], "real/layer.tar": LAYERS[1]}
    entries = [{"Config": "c.json", "Layers": ["1/layer.tar", "2/layer.tar"]}]
    path = write_tar(
        tmp_path / "a.tar",
        {**files, "manifest.json": json.dumps(entries).encode()},
        {"2/layer.tar": "../real/layer.tar"},
    )
    assert measured(path) == EXPECTED
