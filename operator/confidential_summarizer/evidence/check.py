"""The checks, each with a sentence that says what was found."""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from confidential_summarizer.errors import quoted
from confidential_summarizer.evidence.document import Evidence
from confidential_summarizer.evidence.token import SigningKey, Token
from confidential_summarizer.release import (
    COMPLIANCE_STATUS,
    COMPLIANT_UVM,
    HOST_DATA,
    IS_DEBUGGABLE,
    MIGRATION_ALLOWED,
    REPORT_DATA,
    VMPL,
    Floor,
    claim_text,
    floors,
)
from confidential_summarizer.release.grammar import authority_url

LEEWAY = timedelta(minutes=1)
"""How far two clocks may be apart."""

_ATTESTATION_TYPE = "x-ms-attestation-type"
_REPORT_DATA_BYTES = 64


@dataclass(frozen=True)
class Expectation:
    """What the evidence has to show.

    Attributes:
        authority: The attestation service's host name or URL.
        host_data: SHA-256 of the policy, 64 hex digits; several while a rollout replaces one by another.
        nonce: The nonce that the group was asked with, None to check evidence from a file.
        peer: The key at the other end of the connection that the evidence came over: SHA-256 of its
            SubjectPublicKeyInfo, hexadecimal; None to check evidence from a file.
        now: The time of the check.
        debuggable: Whether a debuggable guest is accepted; for test data only.
    """

    authority: str
    host_data: Sequence[str]
    nonce: str | None
    peer: str | None
    now: datetime
    debuggable: bool = False


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """All answers; the evidence holds only if every check passed.

    Attributes:
        checks: In the order in which they build on each other.
        token: What was checked.
    """

    checks: tuple[Check, ...]
    token: Token

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def claims(self) -> dict[str, str]:
        """Return the claims that decided, as text, for a status or a file."""
        names = (
            *("iss", HOST_DATA, COMPLIANCE_STATUS, IS_DEBUGGABLE, VMPL, MIGRATION_ALLOWED, _ATTESTATION_TYPE),
            *(floor.claim for floor in floors()),
        )
        return {name: claim_text(self.token.claims[name]) for name in names if name in self.token.claims}


def check(evidence: Evidence, keys: tuple[SigningKey, ...], expectation: Expectation) -> Verdict:
    """Check a group's evidence.

    Args:
        evidence: What the group's page gave.
        keys: The signing keys that the expected attestation service publishes, fetched over TLS.
        expectation: What has to be shown.

    Raises:
        IntegrityError: The token is no JWT at all.
    """
    token = Token.parse(evidence.token)
    # What a page says goes into conditions.
    checks = (replace(one, detail=quoted(one.detail)) for one in _checks(evidence, token, keys, expectation))
    return Verdict(tuple(checks), token)


def _checks(
    evidence: Evidence, token: Token, keys: tuple[SigningKey, ...], expectation: Expectation
) -> Iterator[Check]:
    yield _signature(token, keys)
    yield _equal("Issuer", token, "iss", authority_url(expectation.authority))
    yield _times(token, expectation.now)
    yield _binding(evidence, token)
    if expectation.nonce is not None:
        yield _nonce(evidence, expectation.nonce)
    if expectation.peer is not None:
        yield _channel(evidence, expectation.peer)
    yield _equal("Attestation type", token, _ATTESTATION_TYPE, "sevsnpvm")
    yield _host_data(token, expectation.host_data)
    yield _equal("Compliance status", token, COMPLIANCE_STATUS, COMPLIANT_UVM)
    if not expectation.debuggable:
        yield _equal("Not debuggable", token, IS_DEBUGGABLE, "false")
    yield _equal("Privilege level", token, VMPL, "0")
    yield _equal("Not movable", token, MIGRATION_ALLOWED, "false")
    yield from (_at_least(floor, token) for floor in floors())


def _signature(token: Token, keys: tuple[SigningKey, ...]) -> Check:
    key_id = str(token.header.get("kid"))
    if token.signed_by(keys):
        return Check("Signature", True, f"signed by key {key_id} of the attestation service")
    return Check("Signature", False, f"not signed (with RS256) by a key of the attestation service; it names {key_id}")


def _times(token: Token, now: datetime) -> Check:
    begins, ends = token.time("nbf"), token.time("exp")
    if begins is None or ends is None:
        return Check("Valid now", False, "the token lacks its times (nbf, exp)")
    valid = begins <= now + LEEWAY and now - LEEWAY < ends  # so near to now that no sum is out of range
    return Check("Valid now", valid, f"from {begins.isoformat()} to {ends.isoformat()}, it is {now.isoformat()}")


def _binding(evidence: Evidence, token: Token) -> Check:
    """The processor's report holds the hash of the runtime data, so that nobody can put other data beside a token."""
    digest = hashlib.sha256(evidence.runtime_data).digest()
    expected = digest.ljust(_REPORT_DATA_BYTES, b"\0").hex()
    actual = claim_text(token.claims.get(REPORT_DATA)).lower()
    bound = hmac.compare_digest(expected.encode(), actual.encode())
    return Check("Report data", bound, "the report holds the runtime data's hash" if bound else "of other runtime data")


def _nonce(evidence: Evidence, nonce: str) -> Check:
    fresh = evidence.nonce is not None and hmac.compare_digest(evidence.nonce.encode(), nonce.encode())
    return Check("Nonce", fresh, "made for this question" if fresh else "made for another question: it may be old")


def _channel(evidence: Evidence, peer: str) -> Check:
    """The report names the key that answered; who only passes evidence on holds another one."""
    if evidence.peer is not None and hmac.compare_digest(evidence.peer.encode(), peer.encode()):
        return Check("Channel", True, f"TLS ends in the group, at key {peer}")
    named = f"the evidence is of key {evidence.peer}" if evidence.peer else "the evidence names no key"
    return Check("Channel", False, f"TLS ends at key {peer}, and {named}: somebody stands between")


def _host_data(token: Token, expected: Sequence[str]) -> Check:
    actual = claim_text(token.claims.get(HOST_DATA, "absent")).lower()
    if actual in {value.lower() for value in expected}:
        return Check("Host-data", True, actual)
    return Check("Host-data", False, f"{actual}, expected {' or '.join(expected)}")


def _at_least(floor: Floor, token: Token) -> Check:
    value = token.claims.get(floor.claim)
    shown = "absent" if value is None else claim_text(value)
    return Check(floor.name, floor.holds(value), f"{shown}, at least {floor.minimum}")


def _equal(name: str, token: Token, claim: str, expected: str) -> Check:
    actual = claim_text(token.claims[claim]) if claim in token.claims else "absent"
    return Check(name, actual == expected, actual if actual == expected else f"{actual}, expected {expected}")
