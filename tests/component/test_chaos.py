"""The operator among failing services, killed again and again: a short run of `make chaos`."""

import os

import pytest

from tests.support import chaos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROUNDS = 4


def test_everything_settles_and_nothing_is_lost_whatever_fails_and_whenever_the_operator_dies() -> None:
    """`CSUM_CHAOS_SEED=7 pytest tests/component/test_chaos.py` goes through the same again."""
    chaos.main(int(os.environ.get("CSUM_CHAOS_SEED", "10")), faults=0, rounds=ROUNDS)
