"""A shard of a batch: no page, only state and evidence over the attested channel, and an end.

Its results lie in storage, each under a name of its own, so a shard that is started again goes on where it was.
"""

import logging
import signal
import sys
import time
from threading import Thread
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware

from summarizer.access import KnownHosts, SecurityHeaders
from summarizer.api import operations
from summarizer.attestation.custody import Keeper
from summarizer.context import Context
from summarizer.listener import serve_tls
from summarizer.progress import State
from summarizer.server import assemble
from summarizer.settings import Settings
from summarizer.throttle import PeerLimits

# The operator looks every five seconds: so it sees the last counts, also of a shard that had nothing to do.
_LINGER_SECONDS: Final = 10.0
_FAILED: Final = 1
_LOG: Final = logging.getLogger(__name__)


def create_app(context: Context) -> Starlette:
    """Return the ASGI application: what is open to everybody, for there are no readers."""
    routes = [operation.route() for operation in operations(context) if operation.open]
    guards = [Middleware(SecurityHeaders), Middleware(KnownHosts), Middleware(PeerLimits, peers=context.peers)]
    return Starlette(routes=routes, middleware=guards)


def run(settings: Settings, keeper: Keeper | None) -> int:
    """Do the work of the shard and return the exit code; what cannot be read or summarized does not make it fail."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the first process has no default
    parts = assemble(settings, keeper)
    serving = (create_app(parts.context), settings, parts.key)
    Thread(target=serve_tls, args=serving, name="server", daemon=True).start()
    parts.worker.start()
    snapshot = parts.context.progress.snapshot
    count = snapshot.shard
    if count is not None:
        done = {"documents": count.documents, "done": count.before + count.written}
        _LOG.info("shard", extra={**done, "refused": count.refused, "failed": count.failed})
    time.sleep(_LINGER_SECONDS)
    return 0 if snapshot.state is State.READY else _FAILED
