"""When to look again. Pure: the longer something has lasted, the longer the pause, also across restarts."""

from confidential_summarizer.errors import SpecError, SummarizerError, TransientError

RESYNC_SECONDS = 300.0
"""A settled resource is looked at again this often, to find drift and keys that somebody changed."""
STALLED_SECONDS = 120.0
"""Nothing will change without a new spec, except what we cannot see: a role, a pushed image."""
WAITING_SECONDS = (10.0, 60.0)
"""Somebody else has to act, and their services do not call us: at first often, since they may sit before a terminal."""
RETRY_SECONDS = (5.0, 300.0)
"""A service cannot answer: at first soon, later seldom, so that an outage of hours is not made worse."""
DELETING_SECONDS = (2.0, 300.0)
"""Groups take seconds to go; what holds them up longer takes a person."""
ASKED_SECONDS = 60.0
"""What a pause that somebody asked for grows to, if it was shorter and did not help."""
FLOOR_SECONDS = 1.0
"""No pause is shorter, whatever a service asks for: a loop without a pause is an attack on it."""
SHARE = 0.2
"""Of the time that something has lasted: a pause delays what ends it by a fifth at most."""


def growing(lasted: float, bounds: tuple[float, float]) -> float:
    """Return a pause that grows with what it waits for.

    Args:
        lasted: Seconds for which it has lasted.
        bounds: The shortest and the longest pause, in seconds.
    """
    least, most = bounds
    return min(max(lasted * SHARE, least), most)


def pause(failure: SummarizerError | None, lasted: float) -> float:
    """Return the seconds until a resource is worth another look.

    Args:
        failure: What ended the reconcile; None if all of it was done.
        lasted: Seconds for which it has been like this.
    """
    if failure is None:
        return RESYNC_SECONDS
    if failure.retry_after is not None:
        least = max(failure.retry_after, FLOOR_SECONDS)
        return growing(lasted, (least, max(least, ASKED_SECONDS)))
    if isinstance(failure, SpecError):
        return STALLED_SECONDS
    return growing(lasted, RETRY_SECONDS if isinstance(failure, TransientError) else WAITING_SECONDS)
