"""Shared by all tests: the tree itself is importable as `tests`, so that support code has one home."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1]))

# A busy machine makes any example slow; the limit on the whole test tells what hangs.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
