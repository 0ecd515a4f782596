"""`python -m confidential_summarizer` runs the operator."""

import asyncio
import logging
import os
import sys

from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.handlers import run
from confidential_summarizer.settings import Settings


def main() -> int:
    """Run the operator; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("azure").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        asyncio.run(run(Settings.from_environment(os.environ)))
    except KeyboardInterrupt:
        return 0
    except SummarizerError as error:
        logging.getLogger("confidential_summarizer").error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
