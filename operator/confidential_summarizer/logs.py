"""The operator's log: one line for what happened, for people or for machines."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from confidential_summarizer.settings import LogFormat

QUIET = ("aiohttp.access", "azure", "kopf", "kopf.objects", "kubernetes")
"""Libraries whose every step is nobody's concern; their warnings are."""
CONSOLE = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(style: str, level: str) -> None:
    """Send the log to standard error.

    Args:
        style: For people, or one JSON object a line with time, level, logger, message, object and reason.
        level: The least level of our own lines.
    """
    handler = logging.StreamHandler(sys.stderr)
    if style == LogFormat.JSON:
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(CONSOLE, rename_fields=renamed))
    else:
        handler.setFormatter(logging.Formatter(CONSOLE))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("confidential_summarizer").setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
