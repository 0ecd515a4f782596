"""Images of a few files on a real registry, for what runs in container groups."""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
APPLETS = (
    "sh",
    "env",
    "id",
    "cat",
    "ls",
    "httpd",
    "sleep",
    "nc",
    "wget",
    "nslookup",
    "readlink",
    "mkdir",
    "ln",
    "stat",
)
REGISTRY_SECONDS = 30.0

PASSWD = "root:x:0:0:root:/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:1001:\nother:x:1002:\n"


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run the real registry on a free port; gives its name, which leads to plain HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + REGISTRY_SECONDS
        while not _answers(address):
            assert process.poll() is None, "the registry ended"
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return _send("GET", f"http://{address}/v2/").status == 200
    except OSError:
        return False


def push(address: str, name: str, layers: list[bytes], config: Mapping[str, Any]) -> str:
    """Push an image made of uncompressed layers; returns its reference."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(address, name, json.dumps(document).encode(), CONFIG),
        "layers": [_blob(address, name, gzip.compress(layer, 1, mtime=0), LAYER) for layer in layers],
    }
    body = json.dumps(manifest).encode()
    _send("PUT", f"http://{address}/v2/{name}/manifests/latest", body, MANIFEST)
    return f"{address}/{name}:latest"


def replace_blob(folder: Path, digest: str, data: bytes) -> None:
    """Change a blob where the registry keeps it, behind its back."""
    hexadecimal = digest.removeprefix("sha256:")
    path = folder / "data/docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"
    assert path.exists()
    path.write_bytes(data)


def _blob(address: str, name: str, data: bytes, kind: str) -> dict[str, Any]:
    place = _send("POST", f"http://{address}/v2/{name}/blobs/uploads/").headers["Location"]
    separator = "&" if "?" in place else "?"
    _send("PUT", f"{place}{separator}digest={_digest(data)}", data, "application/octet-stream")
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _send(method: str, url: str, data: bytes | None = None, kind: str = "") -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": kind} if kind else {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        response.read()
        return response


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(files: Mapping[str, bytes | str], add: Callable[[tarfile.TarFile], None] = lambda _: None) -> bytes:
    """A layer of executable files, one folder entry for each parent; a text is a symbolic link's target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        add(tar)
    return buffer.getvalue()


def base_layer() -> bytes:
    """The machine's busybox with a few of its commands, and two users."""
    program = shutil.which("busybox")
    assert program, "install busybox-static, or run `make setup-sandbox`"
    files: dict[str, bytes | str] = {"bin/busybox": Path(program).read_bytes(), **_libraries(program)}
    files |= {f"bin/{name}": "busybox" for name in APPLETS}
    files |= {"etc/passwd": PASSWD.encode(), "etc/group": GROUP.encode()}
    return layer(files, lambda tar: _folder(tar, "tmp", 0o1777))


def _folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _libraries(program: str) -> dict[str, bytes | str]:
    """What a busybox that is not static needs beside it."""
    result = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    paths = [word for line in result.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return {path.lstrip("/"): Path(path).read_bytes() for path in paths}
