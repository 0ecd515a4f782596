"""One process, one port, TLS only: the page, its API and the probes; the work begins before them."""

import os
from dataclasses import dataclass
from threading import Thread

from summarizer.attestation.custody import Keeper
from summarizer.channel import ChannelKey, new_channel_key
from summarizer.context import Context
from summarizer.evidence import Attester, EvidenceDesk, policy_hash
from summarizer.jobs import Jobs
from summarizer.output import SealedResults
from summarizer.progress import Progress
from summarizer.settings import Settings
from summarizer.storage import BlobPrefix
from summarizer.worker import Worker


@dataclass(frozen=True)
class Parts:
    """What a server and a shard of a batch have in common.

    Attributes:
        key: Where TLS ends.
        context: What is answered from.
        worker: Does the work.
    """

    key: ChannelKey
    context: Context
    worker: Worker


def assemble(settings: Settings, keeper: Keeper | None) -> Parts:
    """Put the parts together; nothing starts. See `serve`."""
    key = new_channel_key()
    desk = evidence_desk(settings, keeper, key.spki_sha256)
    context = Context(settings, Progress(), Jobs(), policy_hash(os.environ), desk)
    # A server makes its results anew at each start; what a batch has once is not made again.
    once = settings.shards is not None
    results = {
        one.name: SealedResults(BlobPrefix(one.output, settings.identity, once=once), one.recipient, key, desk)
        for one in settings.reads
        if one.output is not None and one.recipient is not None
    }
    return Parts(key, context, Worker(settings, context.progress, context.jobs, results))


def evidence_desk(settings: Settings, keeper: Keeper | None, tls_spki: str) -> EvidenceDesk | None:
    """Bind the keeper's reports to the channel's key, and return where evidence of it is made; None if nowhere.

    The keeper is told the key where no evidence is ever made, too: otherwise whatever gets hold of this process could
    tell it another.
    """
    if keeper is None:
        return None
    keeper.evidence_of(tls_spki)
    if settings.maa is None:
        return None
    return EvidenceDesk(Attester(keeper.report, settings.maa, os.environ), tls_spki)


def serve(settings: Settings, keeper: Keeper | None) -> bool:
    """Start the work in the background and serve until a signal ends the process; return whether it ever served.

    Args:
        settings: The configuration.
        keeper: Has reports made; None outside of a confidential guest.
    """
    parts = assemble(settings, keeper)
    Thread(target=parts.worker.run, name="worker", daemon=True).start()
    # After the work has begun: loading what the page is made of takes longer than the first summary.
    from summarizer.app import create_app
    from summarizer.listener import serve_tls

    return serve_tls(create_app(parts.context), settings, parts.key)
