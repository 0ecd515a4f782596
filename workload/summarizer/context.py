"""What the page's script, which streamlit runs anew for every visitor and click, shares with the server's process."""

from dataclasses import dataclass

from summarizer.evidence import EvidenceDesk
from summarizer.progress import Progress
from summarizer.settings import Settings


@dataclass(frozen=True)
class Context:
    """The configuration, where the work stands, the policy's hash for showing, and where evidence comes from."""

    settings: Settings
    progress: Progress
    policy_hash: str
    desk: EvidenceDesk | None = None


_current: list[Context] = []


def set_context(context: Context) -> None:
    """Make `context` the one that the page shows."""
    _current[:] = [context]


def get_context() -> Context:
    """Return the context that the page shows; the server sets it before it serves."""
    return _current[0]
