import json
import logging

from summarizer.logs import JsonFormatter


def test_a_line_is_json_with_its_extra_fields() -> None:
    record = logging.makeLogRecord({"name": "summarizer", "levelname": "INFO", "msg": "state", "state": "Ready"})
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["state"]) == ("info", "state", "Ready")


def test_of_an_exception_only_the_type_is_written() -> None:
    try:
        raise ValueError("the secret text")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
    formatted = JsonFormatter().format(record)
    assert "secret" not in formatted
    assert json.loads(formatted)["exception"] == "ValueError"
