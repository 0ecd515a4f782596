"""`python -m confidential_summarizer` runs the operator."""

import asyncio
import gc
import logging
import os
import sys

from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.logs import configure
from confidential_summarizer.settings import Settings
from confidential_summarizer.wiring import run

COLLECTED_AFTER = 10_000
"""New objects after which cycles are looked for; after Python's 700, that is a sixth of a busy operator's time."""


def main() -> int:
    """Run the operator; return the exit code."""
    configure(Settings.log_format, Settings.log_level)
    # aiohttp takes passwords for hosts from there together with the proxies, and resources name the hosts.
    os.environ["NETRC"] = os.devnull
    gc.freeze()  # Modules live for ever, so no search for cycles has to go through them.
    gc.set_threshold(COLLECTED_AFTER)
    try:
        settings = Settings.from_environment(os.environ)
        configure(settings.log_format, settings.log_level)
        asyncio.run(run(settings))
    except KeyboardInterrupt:
        return 0
    except SummarizerError as error:
        logging.getLogger("confidential_summarizer").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
