"""What the guest answers to a request, and the text by which a refusal reaches the outside."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confidential_summarizer.policy.document import Capabilities

_LONGEST_TEXT = 3072
"""Bytes of a refusal's text in the guest's answer, markers included."""
_REDACTED = "<<redacted>>"


@dataclass(frozen=True)
class Decision:
    """The answer to one request.

    Attributes:
        rule: The enforcement point that was asked.
        allowed: Whether the request may go on.
        errors: Why not, in the framework's words, sorted.
        input: The request, for the refusal's text.
        env_list: The variables that the process gets; ones that no rule covers are dropped where the policy lets them
            be.
        capabilities: The capabilities that the process gets.
        allow_stdio_access: Whether its output can be read from outside.
    """

    rule: str
    allowed: bool
    errors: tuple[str, ...] = ()
    input: Mapping[str, Any] = field(default_factory=dict)
    env_list: tuple[str, ...] | None = None
    capabilities: Capabilities | None = None
    allow_stdio_access: bool | None = None

    def denial_text(self) -> str:
        """`policyDecision< BASE64 >policyDecision`: JSON without the values of variables, shortened as by the guest."""
        document: dict[str, Any] = {"decision": "deny", "input": self._redacted()}
        document["reason"] = {"errors": list(self.errors)}
        for shortened in ("", "input", "reason"):
            if shortened:
                document.pop(shortened)
                document.setdefault("truncated", []).append(shortened)
            text = f"policyDecision< {_encode(document)} >policyDecision"
            if len(text) <= _LONGEST_TEXT:
                break
        return text

    def _redacted(self) -> dict[str, Any]:
        shown = dict(self.input) | {"rule": self.rule}
        if "envList" in shown:
            shown["envList"] = [f"{variable.partition('=')[0]}={_REDACTED}" for variable in shown["envList"]]
        return shown


def _encode(document: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(document, separators=(",", ":"), sort_keys=True).encode()).decode()
