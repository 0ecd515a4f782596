"""What a policy allows, in words, and what changed since it was approved last.

The record of an approval is kept on the data owner's machine, so that the comparison trusts nobody else.
"""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from confidential_summarizer.cli.terms import terms, unguarded, unpinned
from confidential_summarizer.errors import SpecError
from confidential_summarizer.policy.comparison import compare
from confidential_summarizer.policy.description import is_wildcard, sentences
from confidential_summarizer.policy.document import ContainerRules, PolicyDocument
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.targets.target import Derivation

_LONGEST_VALUE = 200
"""Characters of a value that are shown; the whole value is in the policy (`csum render`)."""

_SIDECAR_ARGUMENTS = "EncfsSideCarArgs="
"""Where the file systems are said: base64 of JSON, shown decoded because it names blobs and keys."""


def description(derivation: Derivation) -> tuple[str, ...]:
    """Say what a policy allows, one fact a line, the most important first."""
    document = parse_policy(derivation.policy.text)
    images = (f"{name} is image {measured.image.reference}." for name, measured in derivation.images.items())
    pinned = (line for container in document.containers for line in _pinned(container))
    return (*sentences(document), *terms(document), *images, *pinned)


def _pinned(container: ContainerRules) -> Iterator[str]:
    name = container.name or container.id or "A container"
    for rule in container.env_rules:
        if rule.strategy == "string" and not is_wildcard(rule):
            yield f"{name} has {_shown(rule.pattern)}"
    for mount in container.mounts:
        yield f"{name} mounts {mount.destination} ({', '.join(mount.options)})"


def _shown(variable: str) -> str:
    if variable.startswith(_SIDECAR_ARGUMENTS):
        try:
            decoded = base64.b64decode(variable.removeprefix(_SIDECAR_ARGUMENTS), validate=True).decode()
        except ValueError:
            decoded = "(not base64)"
        return f"{_SIDECAR_ARGUMENTS}{decoded}"
    if len(variable) <= _LONGEST_VALUE:
        return variable
    return f"{variable[:_LONGEST_VALUE]}… ({len(variable)} characters)"


def dangers(derivation: Derivation) -> tuple[str, ...]:
    """Name what no policy for real text should allow."""
    document = parse_policy(derivation.policy.text)
    risks = (*unpinned(document), *unguarded(document))
    if document.allows_debugging:
        return ("Whoever runs the group can look into it. Do not approve this for real text.", *risks)
    return risks


@dataclass(frozen=True)
class Approval:
    """One approval, as it is recorded.

    Attributes:
        host_data: SHA-256 of the policy.
        policy: The policy's text.
        time: When it was approved (RFC 3339).
    """

    host_data: str
    policy: str
    time: str


class Approvals:
    """The records of one key's approvals, in the user's state folder."""

    def __init__(self, vault: str, key: str, home: Path | None = None) -> None:
        """Choose the file; it is read and written later.

        Args:
            vault: The vault's host name.
            key: The key's name.
            home: The state folder; the user's where None.
        """
        root = home or Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        self._file = root / "confidential-summarizer" / "approvals" / vault / f"{key}.json"

    def last(self, admitted: Sequence[str]) -> Approval | None:
        """Return the latest approval of a policy that the key still admits; None where there is no record.

        Raises:
            SpecError: The record is damaged.
        """
        kept = [approval for approval in self._all() if approval.host_data in admitted]
        return kept[-1] if kept else None

    def record(self, derivation: Derivation) -> None:
        """Add an approval of a derived policy."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        approvals = [*self._all(), Approval(derivation.policy.host_data, derivation.policy.text, now)]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(approval) for approval in approvals], indent=1) + "\n", encoding="utf-8")
        partial.replace(self._file)

    def _all(self) -> list[Approval]:
        if not self._file.exists():
            return []
        try:
            return [Approval(**entry) for entry in json.loads(self._file.read_text(encoding="utf-8"))]
        except (ValueError, TypeError):
            raise SpecError(f"{self._file}: the record of approvals is damaged; move it away.") from None


def difference(old: Approval, new: Derivation) -> tuple[str, ...]:
    """Return what the new policy says differently, one line for each thing; none if both allow the same."""
    before, after = _documents(old.policy, new.policy.text)
    return tuple(
        f"{item.subject}, {item.field}: {_value(item.before)} → {_value(item.after)}" for item in compare(before, after)
    )


def _documents(*texts: str) -> tuple[PolicyDocument, ...]:
    return tuple(parse_policy(text) for text in texts)


def _value(value: object) -> str:
    return "nothing" if value is None else _shown(str(value))
