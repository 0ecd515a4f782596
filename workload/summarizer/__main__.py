"""`python -m summarizer`: the entry point of the container."""

import logging
import os
import sys
from pathlib import Path
from typing import Final

from summarizer.attestation.custody import take_custody
from summarizer.confinement import close_memory
from summarizer.errors import ConfigurationError
from summarizer.logs import set_up_logs
from summarizer.settings import Settings, refuse_doubles

# Exit code of a configuration that can never work, as elsewhere in the product.
_CANNOT_WORK: Final = 3
_FAILED: Final = 1


def main() -> int:
    """Serve, or do the work of a shard; return the exit code."""
    set_up_logs()
    try:
        refuse_doubles(_environment())
        settings = Settings.from_environment(os.environ)
        # Before anything else is loaded: from here on this process has no right but to what it reads and serves.
        keeper = take_custody()
        close_memory()
    except ConfigurationError as error:
        logging.getLogger("summarizer").error("configuration refused", extra={"reason": str(error)})
        return _CANNOT_WORK
    # After the configuration: a wrong one is told at once, not after seconds of loading.
    if settings.shards is not None:
        from summarizer.batch import run

        return run(settings, keeper)
    from summarizer.server import serve

    return 0 if serve(settings, keeper) else _FAILED


def _environment() -> bytes:
    """Return the process's environment as it was given.

    Raises:
        ConfigurationError: The process was not started as root, and its user cannot read the image's interpreter.
    """
    try:
        return Path("/proc/self/environ").read_bytes()
    except PermissionError:
        raise ConfigurationError("start the container as root, which it gives up") from None


if __name__ == "__main__":
    sys.exit(main())
