"""What can go wrong on the way to a key."""


class ReleaseError(Exception):
    """The key cannot be had; the message says which step failed and why, and never holds a token or a key."""


class Unreachable(ReleaseError):
    """A service did not answer, or said that it cannot at the moment: the same request may go through later."""
