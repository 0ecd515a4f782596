"""HTTPS servers of a test, each with a key of its own as a group's page has one."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from summarizer.channel import ChannelKey, memory_file, new_channel_key


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        url: Its address.
        peer: SHA-256 of its key's SubjectPublicKeyInfo, as a client sees it.
    """

    url: str
    peer: str


class Handler(BaseHTTPRequestHandler):
    """Answers without a line in the test's output; a test says what `get` does."""

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.get()

    def get(self) -> None:
        raise NotImplementedError

    def reply(self, status: int, document: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(document if isinstance(document, bytes) else json.dumps(document).encode())

    def log_message(self, *_arguments: object) -> None:
        pass


def unverified_tls() -> ssl.SSLContext:
    """TLS settings of a client for whom any certificate will do."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def plainly(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve without TLS on the loopback; give the address."""
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], key: ChannelKey | None = None) -> Iterator[Served]:
    """Serve over TLS on the loopback."""
    key = key or new_channel_key()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(memory_file(key.pem))

    class Server(ThreadingHTTPServer):
        def get_request(self) -> Any:
            connection, address = super().get_request()
            # The handshake belongs to the connection's own thread: a client that never speaks must not stop the rest.
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, *_arguments: object) -> None:
            pass

    with _running(Server(("127.0.0.1", 0), handler)) as port:
        yield Served(f"https://127.0.0.1:{port}", key.spki_sha256)


@contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[int]:
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
