"""The real server process, as the group starts it."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.tls import unverified_tls

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = REPOSITORY / "examples" / "documents"
MODELS = REPOSITORY / "examples" / "models"
TOKEN = "a-token-for-this-test"
TOKEN_SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()
# Starting streamlit takes about two seconds on an idle core; a busy machine gets many times that.
PATIENCE_SECONDS = 90.0
# As a kubelet asks: the certificate is the process's own, and evidence alone says whose it is.
OPENER = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified_tls())
)


@dataclass
class Page:
    """A running server; `log` is everything it printed."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        return self.send("GET", path, None, **headers)

    def send(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers | kind, method=method)
        try:
            with OPENER.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def json(self, path: str, method: str = "GET", body: Any = None) -> Any:
        status, answer = self.send(method, path, body, Authorization=f"Bearer {TOKEN}")
        assert status in (200, 202), answer
        return json.loads(answer)

    def wait_for(self, path: str, status: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.get(path)[0] != status:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


@contextmanager
def serving(folder: Path, documents: Path, **environment: str) -> Iterator[Page]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    settings = {
        "SUMMARIZER_DOCUMENTS": json.dumps([{"directory": str(documents)}]),
        "SUMMARIZER_MODELS": "bart-demo,t5-demo",
        "SUMMARIZER_MODELS_DIRECTORY": str(MODELS),
        "SUMMARIZER_ADDRESS": "127.0.0.1",
        "SUMMARIZER_PORT": str(port),
        "SUMMARIZER_TOKEN_SHA256": TOKEN_SHA256,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "summarizer"],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **settings, **environment},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Page(f"https://127.0.0.1:{port}", log, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
