"""The release policy as a value, and its JSON form.

Source: the Key Vault and Managed HSM policy grammar, version 1.0.0: a policy is a list of authorities, any of which
may let the key out; an authority lists conditions on the claims of a token that it issued.
"""

import json
from dataclasses import dataclass
from typing import Literal

from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.release.claims import HOST_DATA

VERSION = "1.0.0"

_KNOWN_VERSIONS = ("1.0.0", "0.2")
"""0.2 is the older name of the same grammar; Managed HSM still takes and returns it."""

OPERATORS = ("equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals", "exists")

Scalar = str | int | float | bool
Combination = Literal["allOf", "anyOf"]


@dataclass(frozen=True)
class Condition:
    """One comparison of a token's claim with a fixed value."""

    claim: str
    value: Scalar
    operator: str = "equals"

    def __str__(self) -> str:
        return f"{self.claim} {self.operator} {self.value}"


@dataclass(frozen=True)
class AuthorityRule:
    """What a token of one attestation service must say.

    Attributes:
        authority: The token's issuer, `https://` and a host name without a slash at the end.
        conditions: The comparisons.
        combination: Whether all of them must hold or one is enough.
    """

    authority: str
    conditions: tuple[Condition, ...]
    combination: Combination = "allOf"

    @property
    def host_data(self) -> str | None:
        """The host-data that this rule asks for, None where it does not bind the key to one policy."""
        if self.combination == "anyOf" and len(self.conditions) > 1:
            return None
        values = [c.value for c in self.conditions if c.claim == HOST_DATA and c.operator == "equals"]
        return str(values[0]).lower() if len(values) == 1 else None

    @property
    def other_conditions(self) -> tuple[Condition, ...]:
        """The conditions on anything but the host-data."""
        return tuple(c for c in self.conditions if c.claim != HOST_DATA)


@dataclass(frozen=True)
class ReleasePolicy:
    """Who may have the key: a guest that satisfies any one of the rules."""

    rules: tuple[AuthorityRule, ...]
    version: str = VERSION

    @classmethod
    def parse(cls, data: str | bytes) -> "ReleasePolicy":
        """Read the policy's JSON text.

        Raises:
            ReleasePolicyError: The text is no JSON or not of the grammar. Anything unknown is refused,
                because a rule that is not understood cannot be said to protect the key.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ReleasePolicyError(f"The release policy is not JSON ({type(error).__name__}).") from None
        return cls.from_document(document)

    @classmethod
    def from_document(cls, document: object) -> "ReleasePolicy":
        """Read the policy from its decoded JSON object.

        Raises:
            ReleasePolicyError: The object is not of the grammar.
        """
        fields = _object(document, "The release policy", required={"version", "anyOf"})
        if fields["version"] not in _KNOWN_VERSIONS:
            raise ReleasePolicyError(
                f"The release policy has version {fields['version']!r}; known are {', '.join(_KNOWN_VERSIONS)}."
            )
        rules = tuple(_rule(entry) for entry in _list(fields["anyOf"], "anyOf of the release policy"))
        return cls(rules=rules, version=str(fields["version"]))

    def to_document(self) -> dict[str, object]:
        """Return the JSON object that the vault takes."""
        return {
            "version": self.version,
            "anyOf": [
                {
                    "authority": rule.authority,
                    rule.combination: [{"claim": c.claim, c.operator: c.value} for c in rule.conditions],
                }
                for rule in self.rules
            ],
        }

    def to_bytes(self) -> bytes:
        """Return the compact JSON text; the same policy always gives the same bytes."""
        return json.dumps(self.to_document(), separators=(",", ":")).encode()

    @property
    def host_data(self) -> tuple[str, ...]:
        """Every host-data that some rule admits, in the order of the rules, each once."""
        return tuple(dict.fromkeys(rule.host_data for rule in self.rules if rule.host_data is not None))

    @property
    def authorities(self) -> tuple[str, ...]:
        """Every authority of the rules, in their order, each once."""
        return tuple(dict.fromkeys(rule.authority for rule in self.rules))


def authority_url(host: str) -> str:
    """Return the issuer of an attestation service's tokens: policies want `https://`, the sidecar wants none.

    Raises:
        ReleasePolicyError: The text is neither a host name nor an https URL of one.
    """
    name = host.strip().removeprefix("https://").rstrip("/").lower()
    if not name or "/" in name or ":" in name or " " in name:
        raise ReleasePolicyError(
            f"Attestation authority {host!r} is no host name such as sharedeus2.eus2.attest.azure.net."
        )
    return f"https://{name}"


def _rule(entry: object) -> AuthorityRule:
    fields = _object(entry, "An entry of anyOf", required={"authority"}, optional={"allOf", "anyOf"})
    combinations: list[Combination] = [name for name in ("allOf", "anyOf") if name in fields]
    if len(combinations) != 1:
        raise ReleasePolicyError("An entry of the release policy needs exactly one of allOf and anyOf.")
    if not isinstance(fields["authority"], str):
        raise ReleasePolicyError("The authority of a release policy's entry is no text.")
    conditions = tuple(_condition(item) for item in _list(fields[combinations[0]], combinations[0]))
    return AuthorityRule(authority_url(fields["authority"]), conditions, combinations[0])


def _condition(item: object) -> Condition:
    fields = _object(item, "A claim's condition", required={"claim"}, optional=set(OPERATORS))
    operators = [name for name in OPERATORS if name in fields]
    if len(operators) != 1:
        raise ReleasePolicyError(f"A claim's condition needs exactly one of {', '.join(OPERATORS)}.")
    claim, value = fields["claim"], fields[operators[0]]
    if not isinstance(claim, str) or not isinstance(value, str | int | float | bool):
        raise ReleasePolicyError("A claim's condition compares a name with a text, a number or a boolean.")
    return Condition(claim, value, operators[0])


def _object(
    value: object, what: str, *, required: set[str], optional: set[str] | frozenset[str] = frozenset()
) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ReleasePolicyError(f"{what} is no JSON object.")
    if missing := required - value.keys():
        raise ReleasePolicyError(f"{what} lacks {', '.join(sorted(missing))}.")
    if unknown := value.keys() - required - optional:
        raise ReleasePolicyError(f"{what} has unknown fields: {', '.join(sorted(unknown))}.")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list) or not value:
        raise ReleasePolicyError(f"{what} is no list, or an empty one, which would never let the key out.")
    return value
