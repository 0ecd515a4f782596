"""Evidence for whoever asks the page: a fresh attestation token, and the hash of the policy that binds the group."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from summarizer.attestation.service import Endorsements, token
from summarizer.errors import Busy

# 16 random bytes at least, so that nobody can ask ahead; 64 at most, so that the document stays small.
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,86}")
# A report blocks the processor's one mailbox: requests queue instead of piling up.
_WAITING: Final = 8


@dataclass(frozen=True)
class Evidence:
    """What the attestation service says about this group.

    Attributes:
        token: The signed token (JWT).
        runtime_data: The JSON document whose SHA-256 is in the report.
    """

    token: str
    runtime_data: bytes

    def document(self) -> dict[str, str]:
        """Return the answer of `/api/evidence`."""
        return {"token": self.token, "runtimeData": base64.b64encode(self.runtime_data).decode()}


def nonce_is_valid(nonce: str) -> bool:
    """Tell whether `nonce` is base64url (no padding) of 16 to 64 bytes."""
    return _NONCE.fullmatch(nonce) is not None


def is_runtime_data(data: bytes, tls_spki: str) -> bool:
    """Tell whether `data` are what `runtime_data` makes of some nonce and this key, to the byte."""
    nonce = data.decode("ascii", errors="replace").removeprefix('{"nonce":"')[: -len(f'","tlsSPKI":"{tls_spki}"}}')]
    return nonce_is_valid(nonce) and data == runtime_data(nonce, tls_spki)


def runtime_data(nonce: str, tls_spki: str) -> bytes:
    """Return what a report vouches for: canonical JSON of who asked, and of the key that answers.

    The key makes the evidence worthless to everybody else: who relays it cannot end the same TLS connection.

    Args:
        nonce: The caller's, already checked with `nonce_is_valid`.
        tls_spki: SHA-256 of the channel key's SubjectPublicKeyInfo, hexadecimal.
    """
    return json.dumps({"nonce": nonce, "tlsSPKI": tls_spki}, separators=(",", ":"), sort_keys=True).encode()


class EvidenceDesk:
    """Where the page and its API get evidence: one report at a time, in a short queue."""

    def __init__(self, attest: Callable[[bytes], str], tls_spki: str) -> None:
        """Serve evidence of the channel whose key is `tls_spki`; `attest` makes a token over runtime data."""
        self._attest = attest
        self._tls_spki = tls_spki
        self._mailbox, self._counter, self._waiting = Lock(), Lock(), 0

    def evidence(self, nonce: str) -> Evidence:
        """Return evidence over a nonce that was checked with `nonce_is_valid`; blocks until it is one's turn.

        Raises:
            Busy: The queue is full.
            EvidenceError: There is none to be had.
        """
        with self._counter:
            if self._waiting > _WAITING:
                raise Busy("too many ask for evidence at the same time: ask again in a minute")
            self._waiting += 1
        try:
            with self._mailbox:
                data = runtime_data(nonce, self._tls_spki)
                return Evidence(self._attest(data), data)
        finally:
            with self._counter:
                self._waiting -= 1


@dataclass(frozen=True)
class Attester:
    """Has tokens of this guest made.

    Attributes:
        report: Makes a report over runtime data.
        authority: Host name of the attestation service.
        environment: Names the guest's security context.
    """

    report: Callable[[bytes], bytes]
    authority: str
    environment: Mapping[str, str]

    def __call__(self, data: bytes) -> str:
        """Return a token over runtime data.

        Raises:
            EvidenceError: There is none to be had.
        """
        return token(self.authority, self.report(data), Endorsements.load(self.environment), data)


def policy_hash(environment: Mapping[str, str]) -> str:
    """Return the host-data of this group (SHA-256 of its policy, 64 hex digits), or an empty text outside of one.

    The guest puts the policy into the folder named by `UVM_SECURITY_CONTEXT_DIR`, or into `UVM_SECURITY_POLICY`.
    It is for showing only: proof is the token of `fetch_evidence`.
    """
    encoded = environment.get("UVM_SECURITY_POLICY", "")
    if folder := environment.get("UVM_SECURITY_CONTEXT_DIR"):
        try:
            encoded = (Path(folder) / "security-policy-base64").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""
    try:
        policy = base64.b64decode(encoded, validate=False)
    except ValueError:
        return ""
    return hashlib.sha256(policy).hexdigest() if policy else ""
