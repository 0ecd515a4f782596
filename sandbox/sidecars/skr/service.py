"""The sidecar's HTTP surface, its known oddities included (v2.12)."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from attested_release.attestation import attest
from attested_release.encoding import from_standard_base64, to_standard_base64
from attested_release.errors import ReleaseError
from attested_release.guest import Guest
from attested_release.identity import Identity
from attested_release.release import KeyReference, release_key

MAX_REQUEST = 1 << 20
"""Longest request that is read, in bytes."""

READ_SECONDS = 30.0

HELP = """ERROR: Please refer to the documentation for more information on how to use this sidecar.
ACI: https://github.com/microsoft/confidential-sidecar-containers/blob/main/examples/skr/aci/README.md
KATA: https://github.com/microsoft/confidential-sidecar-containers/blob/main/examples/skr/aks/README.md
Troubleshooting: https://github.com/microsoft/confidential-sidecar-containers/blob/main/examples/skr/TROUBLESHOOTING.md"""
"""What the real sidecar puts between what failed and why (pkg/skr/skr.go)."""

BAD_FORMAT = "invalid request format"
BAD_RUNTIME_DATA = "decoding base64-encoded runtime data of request failed"
NOT_FOUND = b"404 page not found"

log = logging.getLogger("skr")


class BadRequest(Exception):
    """The request's body cannot be used: what failed, and why."""

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(explained(what, cause))


def explained(what: str, cause: object) -> str:
    """Return an error as the real sidecar words it, help included."""
    return f"{what}\n{HELP}: {cause}"


@dataclass(frozen=True)
class Sidecar:
    """What the sidecar can do.

    Attributes:
        guest: Who is attested.
        identity: Asks the vaults.
        user_agent: For the attestation service.
    """

    guest: Guest
    identity: Identity
    user_agent: str = ""

    def raw(self, body: Mapping[str, Any]) -> dict[str, str]:
        """`/attest/raw`: a report in hexadecimal."""
        return {"report": self.guest.report(_runtime_data(body)).hex()}

    def combined(self, body: Mapping[str, Any]) -> dict[str, str]:
        """`/attest/combined`: everything that a verifier needs."""
        context = self.guest.context
        return {
            "endorsed_tcb": f"{context.tcb:016x}",
            "endorsements": to_standard_base64(context.certificates),
            "evidence": to_standard_base64(self.guest.report(_runtime_data(body))),
            "uvm_endorsements": to_standard_base64(context.reference_info),
        }

    def maa(self, body: Mapping[str, Any]) -> dict[str, str]:
        """`/attest/maa`: a token of the attestation service."""
        authority = str(body["maa_endpoint"])
        return {"token": attest(self.guest, authority, _runtime_data(body), self.user_agent)}

    def release(self, body: Mapping[str, Any]) -> dict[str, str]:
        """`/key/release`: a key as the text of a JSON web key."""
        key = KeyReference(
            kid=str(body["kid"]),
            vault=str(body["akv_endpoint"]),
            authority=str(body["maa_endpoint"]),
            access_token=str(body.get("access_token") or ""),
        )
        return {"key": json.dumps(release_key(self.guest, self.identity, key, self.user_agent).jwk())}


@dataclass(frozen=True)
class _Call:
    """How one path answers.

    Attributes:
        method: What it does.
        document: The real handler's name for the request's body.
        required: The body's required texts, by their names in the real handler.
        failed: How the real handler calls a failure.
        refused: Status of a failure.
        after_error: What follows the error's object: where the real handlers go on after an error, they write twice.
        bad_request: Body for a request that cannot be used; None tells the cause.
    """

    method: Callable[[Sidecar, Mapping[str, Any]], dict[str, str]]
    document: str
    required: Mapping[str, str]
    failed: str
    refused: HTTPStatus = HTTPStatus.FORBIDDEN
    after_error: Mapping[str, str] | None = None
    bad_request: Mapping[str, object] | None = None


RUNTIME_DATA = {"RuntimeData": "runtime_data"}
MAA_ENDPOINT = {"MAAEndpoint": "maa_endpoint"}

CALLS = {
    "/attest/raw": _Call(
        Sidecar.raw,
        "RawAttestData",
        RUNTIME_DATA,
        "failure to fetch attestation report hex",
        after_error={"report": ""},
    ),
    "/attest/combined": _Call(
        Sidecar.combined,
        "RawAttestData",
        RUNTIME_DATA,
        "failure to fetch attestation report bytes",
        refused=HTTPStatus.INTERNAL_SERVER_ERROR,
    ),
    "/attest/maa": _Call(
        Sidecar.maa, "MAAAttestData", MAA_ENDPOINT | RUNTIME_DATA, "attestation failed", after_error={"token": ""}
    ),
    "/key/release": _Call(
        Sidecar.release,
        "KeyReleaseData",
        MAA_ENDPOINT | {"AKVEndpoint": "akv_endpoint", "KID": "kid"},
        "secure key release failed",
        bad_request={"error": {}},
    ),
}


def create_server(port: int, sidecar: Sidecar) -> ThreadingHTTPServer:
    """Return a server on 127.0.0.1 that has not begun to serve; port 0 lets the system choose.

    Raises:
        OSError: The port is taken.
    """

    class Handler(_Handler):
        served = sidecar

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    served: ClassVar[Sidecar]
    timeout = READ_SECONDS
    server_version = "skr"
    sys_version = ""

    def do_GET(self) -> None:
        """GET /status."""
        if self.path == "/status":
            self._answer(HTTPStatus.OK, {"message": "Status OK"})
        else:
            self._not_found()

    def do_POST(self) -> None:
        """POST one of `CALLS`."""
        call = CALLS.get(self.path)
        if call is None:
            self._not_found()
            return
        try:
            answer = call.method(self.served, self._body(call))
        except BadRequest as error:
            self._answer(HTTPStatus.BAD_REQUEST, call.bad_request or {"error": str(error)})
        except ReleaseError as error:
            log.error("%s: %s", self.path, error)
            documents = [{"error": explained(call.failed, error)}] + ([call.after_error] if call.after_error else [])
            self._answer(call.refused, *documents)
        else:
            self._answer(HTTPStatus.OK, answer)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        """Write no access log: `POST` lines of a readiness probe would be all there is."""

    def _body(self, call: _Call) -> dict[str, Any]:
        try:
            length = int(self.headers.get("Content-Length", "0"))
            document = json.loads(self.rfile.read(length)) if 0 < length <= MAX_REQUEST else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise BadRequest(BAD_FORMAT, "the body is no JSON object")
        missing = [
            f"Key: '{call.document}.{name}' Error:Field validation for '{name}' failed on the 'required' tag"
            for name, field in call.required.items()
            if not isinstance(document.get(field), str) or not document[field]
        ]
        if missing:
            raise BadRequest(BAD_FORMAT, "\n".join(missing))
        return document

    def _not_found(self) -> None:
        self._send(HTTPStatus.NOT_FOUND, "text/plain", NOT_FOUND)

    def _answer(self, status: HTTPStatus, *documents: Mapping[str, object]) -> None:
        body = b"".join(json.dumps(document, separators=(",", ":")).encode() for document in documents)
        self._send(status, "application/json; charset=utf-8", body)

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _runtime_data(body: Mapping[str, Any]) -> bytes:
    text = str(body["runtime_data"])
    try:
        return from_standard_base64(text)
    except ValueError:
        wrong = re.search(r"[^A-Za-z0-9+/]", text)
        cause = f"illegal base64 data at input byte {wrong.start() if wrong else len(text) // 4 * 4}"
        raise BadRequest(BAD_RUNTIME_DATA, cause) from None
