"""Who may be spoken with: ends of TLS connections that have proved what they are, and not too long ago."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from confidential_summarizer.cli.console import note, warn
from confidential_summarizer.cli.expectation import host_data_of
from confidential_summarizer.errors import SummarizerError
from confidential_summarizer.evidence import Verdict
from confidential_summarizer.pages import peer_of

RENEW_SECONDS = 240.0
"""How often somebody behind the address has to prove itself again, and it is asked what is approved still."""
TRUST_SECONDS = 600.0
"""How long a proof counts: behind one address there may be several groups, and not each is met at each renewal."""
MOST_TRIES = 8
"""How often evidence is asked for until a certain one of the groups behind an address has answered."""

Prove = Callable[[], Awaitable[tuple[str, Verdict]]]
"""Asks for evidence over a new connection, and returns the key of its other end and the verdict."""


class Unproven(aiohttp.ServerFingerprintMismatch):
    """A connection ended at a key that has not proved itself; nothing was sent over it."""

    def __init__(self, peer: str) -> None:
        super().__init__(b"", bytes.fromhex(peer), "", 0)
        self.peer = peer


class Refused(Exception):
    """Whoever answers is not what was approved; the sentence says why, and nothing of the reader's was sent."""

    def __init__(self, sentence: str, peer: str | None = None) -> None:
        super().__init__(sentence)
        self.peer = peer


@dataclass
class Peers:
    """The keys that have proved themselves.

    Attributes:
        prove: Asks for evidence.
        is_approved: Tells whether a policy, by its host-data, is approved now.
        clock: Seconds.
        proven: When each key proved itself, and its group's policy.
    """

    prove: Prove
    is_approved: Callable[[str], bool]
    clock: Callable[[], float] = time.monotonic
    proven: dict[str, tuple[float, str]] = field(default_factory=dict)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_proven(self, peer: str) -> bool:
        """Tell whether a key has proved itself, not too long ago, as of a policy that is approved still."""
        if peer not in self.proven:
            return False
        since, host_data = self.proven[peer]
        return self.clock() - since < TRUST_SECONDS and self.is_approved(host_data)

    async def ask(self) -> str:
        """Ask whoever answers for evidence, and return its key, which is proven now.

        Raises:
            Refused: It is not what was approved.
            SummarizerError: There is no answer that could be checked.
        """
        peer, verdict = await self.prove()
        if verdict.passed:
            if peer not in self.proven:
                note(f"The group at key {peer} has proved that it is what was approved.")
            self.proven[peer] = self.clock(), host_data_of(verdict)
            return peer
        self.proven.pop(peer, None)
        reasons = "; ".join(f"{failure.name}: {failure.detail}" for failure in verdict.failures)
        raise Refused(f"What answers is not the group that was approved, and got nothing. {reasons}", peer)

    async def admit(self, peer: str) -> None:
        """Let a key prove itself: ask until its owner is the one who answers.

        Raises:
            Refused: It is not what was approved, or somebody else keeps answering.
        """
        async with self._asking:
            for _ in range(MOST_TRIES):
                if self.is_proven(peer):
                    return
                try:
                    await self.ask()
                except Refused as refused:
                    if refused.peer == peer:
                        raise
                except SummarizerError as error:
                    raise Refused(f"What answers gives no evidence, and got nothing. {error}") from None
        if not self.is_proven(peer):
            raise Refused(f"Key {peer} did not answer for itself in {MOST_TRIES} tries, and got nothing.")

    async def keep_asking(self, on_loss: Callable[[], Awaitable[None]]) -> None:
        """Ask again every few minutes, for ever; call `on_loss` when a key is no longer proven."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            before = set(self.proven)
            try:
                await self.ask()
            except (Refused, SummarizerError) as error:
                warn(str(error))
            self.proven = {peer: proof for peer, proof in self.proven.items() if self.is_proven(peer)}
            if before - set(self.proven):
                await on_loss()


class ProvenOnly(aiohttp.Fingerprint):
    """Looks at each new connection before anything is sent over it: aiohttp's hook for pinned certificates."""

    def __init__(self, peers: Peers) -> None:
        super().__init__(bytes(32))
        self._peers = peers

    def check(self, transport: asyncio.Transport) -> None:
        """Refuse a connection whose other end is not proven.

        Raises:
            Unproven: It is not.
        """
        try:
            peer = peer_of(transport)
        except ValueError:
            peer = ""
        if not self._peers.is_proven(peer):
            raise Unproven(peer)
