"""What this data owner approved on this machine: the only thing about a group that nobody else can have written."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from confidential_summarizer.errors import SpecError

TURN_SECONDS = 30.0
"""Longest wait for another command's turn at the record; one takes milliseconds."""


@dataclass(frozen=True)
class Approval:
    """One approval, as it is recorded.

    Attributes:
        resource: `namespace/name` of the resource whose policy it was.
        vault: Host name of the key's vault.
        key: Name of the key.
        attestation: Host name of the attestation service that was approved with it.
        host_data: SHA-256 of the policy.
        policy: The policy's text.
        images: The image of each container, pinned by digest, by container name.
        time: When it was approved (RFC 3339).
    """

    resource: str
    vault: str
    key: str
    attestation: str
    host_data: str
    policy: str
    images: Mapping[str, str]
    time: str


class Approvals:
    """The record, one file in the user's state folder, the latest approval last."""

    def __init__(self, home: Path | None = None) -> None:
        """Choose the file; it is read and written later.

        Args:
            home: The state folder; the user's where None.
        """
        root = home or Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self._file = root / "confidential-summarizer" / "approvals.json"

    def of(self, resource: str, key: str | None = None) -> tuple[Approval, ...]:
        """Return the approvals of a resource, of one key where it is named.

        Raises:
            SpecError: The record is damaged.
        """
        return tuple(one for one in self.all() if one.resource == resource and key in (None, one.key))

    def all(self) -> tuple[Approval, ...]:
        """Return every approval.

        Raises:
            SpecError: The record is damaged.
        """
        if not self._file.exists():
            return ()
        try:
            return tuple(Approval(**entry) for entry in json.loads(self._file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise SpecError(f"{self._file}: the record of approvals is damaged; move it away.") from None

    def record(self, approval: Approval) -> None:
        """Add an approval; the same policy of the same resource and key is kept once, as the latest.

        Raises:
            SpecError: The record is damaged, or another command holds it.
        """
        with self._turn():
            self._write([*(one for one in self.all() if _subject(one) != _subject(approval)), approval])

    def check_writable(self) -> None:
        """Find out whether an approval could be recorded, before it is given.

        Raises:
            SpecError: It could not.
        """
        with self._turn():
            pass

    def forget(self, vault: str, key: str, host_data: str) -> None:
        """Remove what is approved no longer: for the resource, whose groups need each of its keys.

        Raises:
            SpecError: The record is damaged, or another command holds it.
        """
        if not self._file.exists():
            return
        with self._turn():
            known = self.all()
            gone = {one.resource for one in known if (one.vault, one.key, one.host_data) == (vault, key, host_data)}
            left = [one for one in known if one.host_data != host_data or one.resource not in gone]
            if len(left) < len(known):
                self._write(left)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other commands from writing between a reading and what is written after it."""
        lock = self._file.with_suffix(".lock")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock, timeout=TURN_SECONDS):
                yield
        except Timeout:
            raise SpecError(
                f"{lock}: another csum has held the record of approvals for {TURN_SECONDS:.0f} s; wait for it, or end "
                "it, and run this again"
            ) from None
        except OSError as error:
            raise SpecError(
                f"{self._file}: what you approve is recorded here, and cannot be ({error.strerror}): make it writable, "
                "or name another folder in XDG_STATE_HOME"
            ) from None

    def _write(self, approvals: list[Approval]) -> None:
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(one) for one in approvals], indent=1) + "\n", encoding="utf-8")
        partial.replace(self._file)


def _subject(approval: Approval) -> tuple[str, str, str, str]:
    return approval.resource, approval.vault, approval.key, approval.host_data


def now() -> str:
    """Return the time of an approval that is made now."""
    return datetime.now(UTC).isoformat(timespec="seconds")
