import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from summarizer.errors import EvidenceError
from summarizer.evidence import nonce_is_valid, policy_hash, runtime_data, token_of_sidecar

NONCE = "bm9uY2Utbm9uY2Utbm9uY2Utbm9uY2U"
DATA = runtime_data(NONCE, "ee" * 32)


class Sidecar:
    """An skr sidecar: answers as the table of its HTTP calls says."""

    def __init__(self, status: int, body: bytes) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        sidecar = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                sidecar.requests.append((self.path, json.loads(sent)))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_the_token_is_asked_for_over_the_callers_nonce() -> None:
    with Sidecar(200, b'{"token":"h.p.s"}') as sidecar:
        token = token_of_sidecar(sidecar.url, "sharedeus2.eus2.attest.azure.net", DATA)
    [(path, sent)] = sidecar.requests
    assert path == "/attest/maa"
    assert sent == {"maa_endpoint": "sharedeus2.eus2.attest.azure.net", "runtime_data": base64.b64encode(DATA).decode()}
    assert f'{{"nonce":"{NONCE}","tlsSPKI":"{"ee" * 32}"}}'.encode() == DATA
    assert token == "h.p.s"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        # The real sidecar misses a return after its error, and so answers two objects.
        (403, b'{"error":"refused"}{"token":""}', "answered 403"),
        (200, b'{"token":""}', "gave no token"),
        (200, b"[]", "gave no token"),
        (200, b"<html>", "no JSON"),
    ],
)
def test_anything_but_a_token_is_an_error(status, body, message) -> None:
    with Sidecar(status, body) as sidecar, pytest.raises(EvidenceError, match=message):
        token_of_sidecar(sidecar.url, "sharedeus2.eus2.attest.azure.net", DATA)


def test_a_group_without_the_sidecar_is_told_so() -> None:
    with Sidecar(200, b"") as gone:
        pass
    with pytest.raises(EvidenceError, match="add one to the container group"):
        token_of_sidecar(gone.url, "sharedeus2.eus2.attest.azure.net", DATA)


@pytest.mark.parametrize("nonce", ["", "short", "a" * 87, "a" * 30 + "=", 'a" ,"keys":[]' * 3])
def test_a_nonce_is_16_to_64_bytes_in_base64url(nonce) -> None:
    assert not nonce_is_valid(nonce)
    assert nonce_is_valid(NONCE)


def test_the_policy_hash_is_that_of_the_decoded_policy(tmp_path) -> None:
    policy = b"package policy\n"
    (tmp_path / "security-policy-base64").write_bytes(base64.b64encode(policy))
    expected = hashlib.sha256(policy).hexdigest()
    assert policy_hash({"UVM_SECURITY_CONTEXT_DIR": str(tmp_path)}) == expected
    assert policy_hash({"UVM_SECURITY_POLICY": base64.b64encode(policy).decode()}) == expected


def test_outside_of_a_confidential_group_there_is_no_policy_hash(tmp_path) -> None:
    assert policy_hash({}) == ""
    assert policy_hash({"UVM_SECURITY_CONTEXT_DIR": str(tmp_path)}) == ""
