"""`python -m summarizer.extraction SUFFIX MEMORY SECONDS`: a document on standard input, JSON on standard output.

It limits itself and gives up everything else before it reads a byte; `process.py` starts it and watches the clock.
"""

import json
import resource
import sys
from typing import Final

from summarizer.confinement import close_everything
from summarizer.extraction.extract import FORMATS, extract
from summarizer.extraction.reasons import MAX_TEXT_BYTES, Reason, Unreadable

# JSON writes a control character as six.
_OUTPUT_BYTES: Final = 6 * MAX_TEXT_BYTES + 1024


def main(suffix: str, memory: int, seconds: int) -> None:
    """Extract within `memory` bytes of address space and `seconds` of processor time."""
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, _OUTPUT_BYTES),
    ):
        resource.setrlimit(limit, (value, value))
    try:
        # Of the program itself; afterwards no file can be read.
        FORMATS[suffix]()
        close_everything()
        found = extract(suffix, sys.stdin.buffer.read())
        answer = json.dumps({"text": found.text, "unread": found.unread}, ensure_ascii=False)
    except Unreadable as unreadable:
        answer = json.dumps({"reason": unreadable.reason.name})
    except MemoryError:
        answer = json.dumps({"reason": Reason.TOO_MUCH_MEMORY.name})
    sys.stdout.buffer.write(answer.encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
