"""Shared by all tests: the tree itself is importable as `tests`, so that support code has one home."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
