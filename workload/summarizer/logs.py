"""Log lines: one JSON object each, on standard output; never text of a document or a summary."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message and the `extra` fields; of an exception only its type.

    Tracebacks are left out on purpose: their last line is the message of an exception that may come from a library,
    and a library may quote what it was given.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


class _RootOnlyLogger(logging.Logger):
    """A logger whose records always go to the root's handler: streamlit and uvicorn would attach handlers of theirs."""

    @property
    def propagate(self) -> bool:
        """Always: there is one handler, the root's."""
        return True

    @propagate.setter
    def propagate(self, _: bool) -> None:
        """Ignore the wish."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802  the name of the standard library
        """Ignore the handler."""


def set_up_logs() -> None:
    """Send everything through `JsonFormatter`; call it before libraries with loggers of their own are imported."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    # Who reads, and when, is nobody's matter.
    handler.addFilter(lambda record: record.name != "uvicorn.access")
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.setLoggerClass(_RootOnlyLogger)
    logging.getLogger("summarizer").setLevel(logging.INFO)
