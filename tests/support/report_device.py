"""The report device of a container: a unix socket that answers 64 bytes of report data with a signed report."""

import contextlib
import socketserver
import threading


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.server.sign(self.rfile.read(64)))


@contextlib.contextmanager
def report_device(path, attester, host_data, *, debug=False):
    """Serve reports of a guest whose policy has this hash (32 bytes)."""
    with socketserver.ThreadingUnixStreamServer(str(path), _Handler) as server:
        server.sign = lambda report_data: attester.report(report_data, host_data, debug=debug)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield path
        server.shutdown()
        thread.join()
