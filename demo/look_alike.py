"""An attacker's page: looks like a summarizer's, and passes on the evidence of a genuine group for whoever asks."""

import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from summarizer.channel import memory_file, new_channel_key

FORGED = b'{"summaries": [{"document": "lease.txt", "summary": "The tenant owes everything."}]}'


@contextmanager
def look_alike(genuine: str) -> Iterator[str]:
    """Serve the page on this machine, in front of a genuine group's URL; its own URL is the value."""
    relaying = ssl.create_default_context()
    relaying.check_hostname, relaying.verify_mode = False, ssl.CERT_NONE

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = FORGED
            if self.path.startswith("/api/evidence"):
                with urllib.request.urlopen(genuine + self.path, timeout=60, context=relaying) as answer:  # noqa: S310
                    body = answer.read()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002
            """Print nothing between the demo's lines."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(memory_file(new_channel_key().pem))
        server.socket = own.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
