"""`/skr.sh`: serve until SIGTERM; end with 1 where that is not possible."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from attested_release.encoding import from_standard_base64
from attested_release.errors import ReleaseError
from attested_release.guest import Guest, SecurityContext
from attested_release.identity import Identity
from attested_release.logs import LevelError, set_up_logs
from skr.service import Sidecar, create_server

VARIABLE = "SkrSideCarArgs"
PORT_VARIABLE = "Port"
DEFAULT_PORT = 8080

log = logging.getLogger("skr")


def sidecar(environment: Mapping[str, str]) -> Sidecar:
    """Return the sidecar that the environment asks for.

    Raises:
        ReleaseError: The arguments or the security context cannot be used, or gRPC is asked for.
    """
    if environment.get("ServerType", "http") != "http":
        raise ReleaseError("the sandbox's stand-in speaks HTTP only: leave ServerType out")
    try:
        document = json.loads(from_standard_base64(environment.get(VARIABLE, "")) or b"{}")
        client_id = (document.get("identity") or {}).get("client_id") or ""
        user_agent = (document.get("maaconfig") or {}).get("user_agent") or ""
    except (ValueError, AttributeError):
        raise ReleaseError(f"{VARIABLE} is not padded standard base64 of a JSON object") from None
    return Sidecar(Guest(SecurityContext.load(environment)), Identity(client_id), user_agent)


def main() -> int:
    """Serve; return the exit code."""
    try:
        set_up_logs(os.environ)
        server = create_server(int(os.environ.get(PORT_VARIABLE) or DEFAULT_PORT), sidecar(os.environ))
    except (ReleaseError, LevelError, ValueError, OSError) as error:
        log.critical("%s", error)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread of its own: shutdown() waits for the loop that the handler interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("serving on 127.0.0.1:%d", server.server_port)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
