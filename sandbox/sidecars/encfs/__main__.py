"""`/encfs.sh`: open the file systems, write 1 or 0 to /result, and stay, whatever came of it, until SIGTERM."""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from attested_release.errors import ReleaseError
from attested_release.guest import Guest, SecurityContext
from attested_release.identity import Identity
from attested_release.logs import LevelError, set_up_logs
from encfs.arguments import VARIABLE, ArgumentsError, parse_arguments
from encfs.mounting import open_all

RESULT = Path("/result")

log = logging.getLogger("encfs")


def run(environment: Mapping[str, str]) -> bool:
    """Open everything; True if that worked. What went wrong is one line in the log."""
    try:
        set_up_logs(environment)
        arguments = parse_arguments(environment.get(VARIABLE, ""))
        guest = Guest(SecurityContext.load(environment))
        open_all(arguments.file_systems, guest, Identity(arguments.client_id), log.info)
    except (ReleaseError, ArgumentsError, LevelError) as error:
        log.critical("%s", error)
    except Exception as error:  # noqa: BLE001  (the type only: a message of a library could quote its input)
        log.critical("an unexpected %s ended the sidecar's work", type(error).__name__)
    else:
        return True
    return False


def main() -> None:
    """Do the work, then wait to be told to end; the real sidecar never ends by itself, either."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    RESULT.write_text("1" if run(os.environ) else "0")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
