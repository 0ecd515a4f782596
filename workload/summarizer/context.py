"""What the page's script, which streamlit runs anew for every visitor and click, shares with the server's process."""

from dataclasses import dataclass, field

from summarizer.evidence import EvidenceDesk
from summarizer.jobs import Jobs
from summarizer.peers import Peers
from summarizer.progress import Progress
from summarizer.settings import Settings


@dataclass(frozen=True)
class Context:
    """The configuration, where the work stands, what is asked for, and where evidence comes from.

    Attributes:
        settings: The configuration.
        progress: Where the work stands.
        jobs: What readers ask for.
        policy_hash: Hash of the group's policy for showing, or empty.
        desk: Where evidence comes from, or None where there is none.
        peers: Counts what each peer asks for.
    """

    settings: Settings
    progress: Progress
    jobs: Jobs = field(default_factory=Jobs)
    policy_hash: str = ""
    desk: EvidenceDesk | None = None
    peers: Peers = field(default_factory=Peers)


_current: list[Context] = []


def set_context(context: Context) -> None:
    """Make `context` the one that the page shows."""
    _current[:] = [context]


def get_context() -> Context:
    """Return the context that the page shows; the server sets it before it serves."""
    return _current[0]
