"""Check that a running container group is the one that was measured. Pure; `azure.attestation` fetches the keys.

The command `csum verify` and the operator's attestation phase both decide here.
"""

from confidential_summarizer.evidence.check import Check, Expectation, Verdict, check
from confidential_summarizer.evidence.document import Evidence, new_nonce
from confidential_summarizer.evidence.token import SigningKey, Token, signing_keys

__all__ = [
    "Check",
    "Evidence",
    "Expectation",
    "SigningKey",
    "Token",
    "Verdict",
    "check",
    "new_nonce",
    "signing_keys",
]
