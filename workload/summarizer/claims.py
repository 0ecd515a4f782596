"""What an attestation token says, in sentences. The page compares; it proves nothing: `csum` checks the signature."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from summarizer.evidence import Evidence

# Names of the claims in the tokens of Microsoft Azure Attestation for SEV-SNP container groups.
_HOST_DATA: Final = "x-ms-sevsnpvm-hostdata"
_DEBUGGABLE: Final = "x-ms-sevsnpvm-is-debuggable"
_COMPLIANCE: Final = "x-ms-compliance-status"
_REPORT_DATA: Final = "x-ms-sevsnpvm-reportdata"
_TYPE: Final = "x-ms-attestation-type"


@dataclass(frozen=True)
class Claim:
    """One thing that a token says.

    Attributes:
        holds: Whether it is as it has to be.
        meaning: What that means, in one sentence.
    """

    holds: bool
    meaning: str


def read_claims(evidence: Evidence, host_data: str, authority: str) -> tuple[Claim, ...]:
    """Return what a token says of this group.

    Args:
        evidence: Fresh evidence.
        host_data: Hash of the policy that the guest gave this process.
        authority: Host name of the attestation service.
    """
    claims = _payload(evidence.token)
    bound = hashlib.sha256(evidence.runtime_data).digest().ljust(64, b"\0").hex()
    issued, ends = _time(claims, "nbf"), _time(claims, "exp")
    return (
        Claim(claims.get("iss") == f"https://{authority}", f"The attestation service {authority} made it."),
        Claim(
            claims.get(_TYPE) == "sevsnpvm" and claims.get(_COMPLIANCE) == "azure-compliant-uvm",
            "An AMD SEV-SNP processor reported this guest, and Azure vouches for the software that started it.",
        ),
        Claim(claims.get(_DEBUGGABLE) is False, "The machine's host cannot read the guest's memory: no debugging."),
        Claim(
            bool(host_data) and claims.get(_HOST_DATA) == host_data,
            "The guest is bound to the policy above: only the containers and settings that it names can run.",
        ),
        Claim(
            str(claims.get(_REPORT_DATA, "")).lower() == bound,
            "It was made for this question just now, and for the key at which this TLS connection ends.",
        ),
        Claim(
            issued is not None and ends is not None,
            f"It holds from {_shown(issued)} to {_shown(ends)}.",
        ),
    )


def _payload(token: str) -> Mapping[str, Any]:
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(claims[name], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _shown(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "an unknown time"
