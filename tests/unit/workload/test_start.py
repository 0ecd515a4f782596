"""What is loaded before the first summary."""

import subprocess
import sys

LATE = {"streamlit", "starlette", "transformers", "torch"}


def test_the_work_begins_before_the_page_is_loaded() -> None:
    """Loading the page takes longer than a first summary does."""
    code = "import sys, summarizer.server, summarizer.engine.ctranslate2_engine as _; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "summarizer.worker" in loaded
    assert LATE.isdisjoint(loaded)
