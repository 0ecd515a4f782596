"""The sidecars' log: `LogLevel` and `LogFile`, lines as the real ones write them (logrus)."""

import logging
import sys
import time
from collections.abc import Mapping

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
DEFAULT_LEVEL = "info"
"""The real default is warning, but the real ones print their whole command line first; these print no arguments."""


class LevelError(Exception):
    """`LogLevel` is none of the known ones."""


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        level = {"CRITICAL": "fatal"}.get(record.levelname, record.levelname.lower())
        text = record.getMessage().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'time="{moment}" level={level} msg="{text}"'


def set_up_logs(environment: Mapping[str, str]) -> None:
    """Write the log to standard output, or to the end of `LogFile`.

    Raises:
        LevelError: `LogLevel` is unknown.
    """
    name = environment.get("LogLevel") or DEFAULT_LEVEL
    path = environment.get("LogFile")
    handler = logging.FileHandler(path, mode="a") if path else logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=LEVELS.get(name.lower(), logging.INFO), handlers=[handler], force=True)
    if name.lower() not in LEVELS:
        raise LevelError(f"LogLevel is none of {', '.join(LEVELS)}")
