"""An attestation service in the test's process: a key, and tokens signed with it."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from confidential_summarizer.cli import question
from confidential_summarizer.evidence import SigningKey
from summarizer.evidence import runtime_data
from tests.support.resources import ATTESTATION

PEER = "ee" * 32
"""The key at which the TLS of a group ends, where a test has no TLS."""


FIRMWARE: dict[str, Any] = {
    "x-ms-sevsnpvm-migration-allowed": False,
    "x-ms-sevsnpvm-guestsvn": 22,
    "x-ms-sevsnpvm-snpfw-svn": 24,
    "x-ms-sevsnpvm-microcode-svn": 219,
}
"""What a token says of a Milan machine of Azure in 2026."""


@dataclass
class Attested:
    """Answers for evidence as a group with this host-data would."""

    now: datetime
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        return (SigningKey("k1", self.key.public_key()),)

    def evidence(self, nonce: str, host_data: str, peer: str = PEER, **changes: Any) -> dict[str, str]:
        runtime = runtime_data(nonce, peer)
        claims = {
            "iss": f"https://{ATTESTATION}",
            "nbf": self.now.timestamp() - 10,
            "exp": self.now.timestamp() + 3600,
            "x-ms-attestation-type": "sevsnpvm",
            "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-hostdata": host_data,
            "x-ms-sevsnpvm-is-debuggable": False,
            "x-ms-sevsnpvm-vmpl": 0,
            **FIRMWARE,
            "x-ms-sevsnpvm-reportdata": hashlib.sha256(runtime).hexdigest() + "0" * 64,
        } | changes
        token = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "k1"})
        return {"token": token, "runtimeData": base64.b64encode(runtime).decode()}


def at_hand(monkeypatch: pytest.MonkeyPatch, attested: Attested) -> None:
    """Let `csum verify` take the keys of this attestation service, instead of asking for them over the network."""

    class Service:
        def __init__(self, _host: str) -> None:
            pass

        async def __aenter__(self) -> "Service":
            return self

        async def __aexit__(self, *_error: object) -> None:
            pass

        async def signing_keys(self) -> object:
            return None

    monkeypatch.setattr(question, "AttestationService", Service)
    monkeypatch.setattr(question, "signing_keys", lambda _document: attested.keys)
