"""The operator with every pause cut short, so that an hour of outages takes minutes: everything else is the product's."""

import sys
from datetime import timedelta

from confidential_summarizer.reconcile import patience

LONGEST = 3.0
"""Seconds of the longest pause; a real service may ask for minutes."""

given = patience.pause
patience.pause = lambda failure, lasted: min(given(failure, lasted), LONGEST)
patience.DELETING_SECONDS = (0.5, LONGEST)
patience.RETRY_SECONDS = (0.5, LONGEST)

from confidential_summarizer.targets.container_group import planning  # noqa: E402

planning.PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4))

from confidential_summarizer.__main__ import main  # noqa: E402

sys.exit(main())
