"""What a running group has to be, and on whose word: the same for `csum verify` and `csum open`.

The word is the data owner's: an approval on this machine, a hash that they were told elsewhere, or a policy that they
have. What the cluster says about its own resource is no word about it.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from confidential_summarizer.cli.approvals import Approval, Approvals
from confidential_summarizer.errors import NotFound, PolicyError, SpecError
from confidential_summarizer.evidence import Check, Expectation, Verdict
from confidential_summarizer.policy.description import openings
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.release import HOST_DATA, checked_host_data, claim_text


@dataclass(frozen=True)
class Expected:
    """What a group has to be.

    Attributes:
        host_data: The accepted policies' SHA-256.
        attestation: Host name of the attestation service; empty where nobody has named one yet.
        policies: The policies' texts by host-data, of those that are known.
        source: Who says so, for people.
        independent: Whether that is anybody but the cluster that is being checked.
        resource: `namespace/name` of whose approvals on this machine say so; empty where something else does.
    """

    host_data: tuple[str, ...]
    attestation: str
    policies: Mapping[str, str]
    source: str
    independent: bool = True
    resource: str = ""

    @classmethod
    def approved(cls, resource: str, approvals: Approvals | None = None) -> Self:
        """Expect what was approved on this machine for a resource, `namespace/name`, and not revoked since.

        Raises:
            NotFound: Nothing was approved for it here.
            SpecError: The record is damaged.
        """
        found = (approvals or Approvals()).of(resource)
        if not found:
            raise NotFound(
                f"{resource}: nothing was approved for it on this machine. Approve it (`csum key approve`), or say "
                "what the group has to be with --host-data or --policy."
            )
        return replace(cls._from(found, f"approved on this machine, last {found[-1].time}"), resource=resource)

    @classmethod
    def hashes(cls, host_data: Sequence[str], approvals: Approvals | None = None) -> Self:
        """Expect a policy by its hash; a record of it on this machine adds the text and the attestation service.

        Raises:
            ReleasePolicyError: A value is no SHA-256 in hexadecimal.
        """
        named = tuple(checked_host_data(value) for value in host_data)
        known = tuple(one for one in (approvals or Approvals()).all() if one.host_data in named)
        return replace(cls._from(known, "given as --host-data"), host_data=named)

    @classmethod
    def policy(cls, file: Path, approvals: Approvals | None = None) -> Self:
        """Expect the policy in a file, as text or as base64.

        Raises:
            SpecError: The file cannot be read.
        """
        text = _policy_bytes(file)
        host_data = hashlib.sha256(text).hexdigest()
        expected = cls.hashes([host_data], approvals)
        return replace(
            expected, policies={host_data: text.decode(errors="replace")}, source=f"given as --policy {file}"
        )

    @classmethod
    def _from(cls, approvals: Sequence[Approval], source: str) -> Self:
        attestation = approvals[-1].attestation if approvals else ""
        chosen = [one for one in approvals if one.attestation == attestation]
        hashes = tuple(dict.fromkeys(one.host_data for one in chosen))
        return cls(hashes, attestation, {one.host_data: one.policy for one in approvals}, source)

    def evidence(self, nonce: str, peer: str, now: datetime, *, debuggable: bool = False) -> Expectation:
        """Return what evidence has to show that is asked for now over a connection.

        Args:
            nonce: The nonce that goes with the question.
            peer: The key at the other end of the connection (SHA-256 of its SubjectPublicKeyInfo, hexadecimal).
            now: The time.
            debuggable: Whether a debuggable guest is accepted; for test data only.
        """
        return Expectation(self.attestation, self.host_data, nonce, peer, now, debuggable)

    def closed(self) -> Self:
        """Leave out the policies that are known to let the host look into the group, where it could sign as the group.

        Raises:
            SpecError: None is left.
        """
        kept = tuple(one for one in self.host_data if one not in self.policies or _closed(self.policies[one]).passed)
        if not kept:
            raise SpecError(
                "The policy lets the host look into the group, so that anybody there can make results: for test data, "
                "give --unverified."
            )
        return replace(self, host_data=kept)

    def judge(self, verdict: Verdict, *, debuggable: bool = False) -> Verdict:
        """Add to a verdict whether the group's policy is closed to debugging.

        The processor's report does not say so: it speaks of the guest's memory, not of shells and logs. A policy of
        which only the hash is known was judged by whoever gave the hash.
        """
        text = self.policies.get(host_data_of(verdict))
        if text is None or debuggable:
            return verdict
        return replace(verdict, checks=(*verdict.checks, _closed(text)))


def host_data_of(verdict: Verdict) -> str:
    """Return the policy that a group says it is bound to."""
    return claim_text(verdict.token.claims.get(HOST_DATA, "")).lower()


def _closed(policy: str) -> Check:
    try:
        found = openings(parse_policy(policy))
    except PolicyError as error:
        return Check("Policy closed", False, f"nobody can say what it allows: {error}")
    return Check("Policy closed", not found, "; ".join(found) or "nobody can look into the group")


def _policy_bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SpecError(f"Policy file {file}: {error.strerror}.") from None
    try:
        return base64.b64decode(data.strip(), validate=True)
    except binascii.Error:
        return data
