"""Every error that this product raises on purpose, and what each one means for a retry.

The type says whether to retry; `reason` is the word that a condition shows for it (api/reasons.py explains them to
people), and `retry_after` the seconds after which another look is worth its cost, where somebody knows.

```
SummarizerError
├── SpecError                 the input can never work as it stands: somebody has to change it (Stalled)
│   ├── ImageError            an image, a layer or a registry reference cannot be used
│   │   └── UnhashableLayer   the reference tool cannot turn this layer into a file system either
│   ├── PolicyError           a policy cannot be made from, or does not describe, what was given
│   ├── ReleasePolicyError    a key release policy is malformed or would never let the key out
│   ├── SealingError          a directory cannot be sealed, or an image not be opened
│   ├── NameTaken             an object that is not of the resource holds a name that it needs
│   └── NotGranted            no SummarizerGrant lets the resource's namespace use what it names
├── WaitingError              the input is fine, but somebody else has to act first (Reconciling)
│   ├── KeyDeleted            the key is soft-deleted: recover it, purge it, or take another name
│   ├── KeyNotOwned           a key carries no tag of the resource that wants to change it
│   ├── SecretNotFound        a Secret of the cluster, or a key in it, is missing
│   ├── SecretNotAllowed      a Secret of the cluster is not labelled for what the resource wants from it
│   ├── NotFound              a vault, key, blob, container or group is not there (yet)
│   ├── QuotaExceeded         the subscription's quota has to be raised
│   └── AccessDenied          an identity lacks a role or a credential
├── TransientError            the same call may go through later: retry with backoff
│   ├── Conflict              somebody else changed the object between our reading and our writing it
│   ├── Throttled             the service said how long to wait
│   └── CapacityUnavailable   the region has no room for a group of this size at the moment
└── IntegrityError            bytes, evidence or a token are not what they claim to be: never retried silently
```

A message names the object, the cause and the next step. It never holds a key, a token or text of a document. Words of
somebody else stand in it as `quoted` gives them back.
"""

from typing import ClassVar

_LONGEST_QUOTE = 600
"""Characters kept of somebody else's words: enough for their first sentences, too few for an echoed document."""


def quoted(words: object) -> str:
    """Return words of a service, a cluster, a page or an image as they may stand in a message of ours.

    They end up in conditions and events, on terminals, and beside what we tell people to do: so on one line, without
    characters that steer a terminal or turn text round, without backticks, between which `csum why` finds the commands
    to run next, and of bounded length.
    """
    line = " ".join(str(words).replace("`", "'").split())
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


class SummarizerError(Exception):
    """The root of the tree; catch it to tell our own errors from bugs. Raised itself only for a bug."""

    REASON: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, reason: str = "", retry_after: float | None = None) -> None:
        """Keep what a status says about the error.

        Args:
            message: The object, the cause and the next step.
            reason: Why, in one CamelCase word; the type's own where it is empty.
            retry_after: Seconds until it is worth another try; None where nobody knows.
        """
        super().__init__(message)
        self.reason = reason or self.REASON
        self.retry_after = retry_after


class SpecError(SummarizerError):
    """The input can never work as it stands; the message says what to change."""

    REASON = "InvalidSpec"


class ImageError(SpecError):
    """An image reference, manifest, config or layer cannot be used."""

    REASON = "ImageUnusable"


class UnhashableLayer(ImageError):
    """The layer's tar has no root hash: the reference converter refuses it with the same meaning."""


class PolicyError(SpecError):
    """A confidential-computing policy cannot be made from the input, or does not parse."""

    REASON = "PolicyInvalid"


class ReleasePolicyError(SpecError):
    """A key release policy is malformed, immutable where it must change, or would never let the key out."""

    REASON = "ReleasePolicyInvalid"


class SealingError(SpecError):
    """A directory cannot be sealed, or an image cannot be opened with the given key."""


class NameTaken(SpecError):
    """An object of another owner holds a name that the resource needs; it is neither changed nor deleted."""

    REASON = "NameTaken"


class NotGranted(SpecError):
    """No grant of the cluster admin lets the namespace use something that the resource names."""

    REASON = "NotGranted"


class WaitingError(SummarizerError):
    """The input is fine, but somebody else has to act; the message says who has to do what."""

    REASON = "ActionRequired"


class KeyDeleted(WaitingError):
    """A soft-deleted key holds the name: it has to be recovered or purged first."""

    REASON = "KeyNotFound"


class KeyNotOwned(WaitingError):
    """The key was not imported for this resource, so its release policy is not this resource's to change."""

    REASON = "KeyNotOwned"


class SecretNotFound(WaitingError):
    """A Secret that the resource names, or a key in it, is missing."""

    REASON = "SecretNotFound"


class SecretNotAllowed(WaitingError):
    """Nobody who may write the Secret has labelled it for this use."""

    REASON = "SecretNotAllowed"


class NotFound(WaitingError):
    """A resource that somebody else creates is not there (yet)."""

    REASON = "NotFound"


class QuotaExceeded(WaitingError):
    """The subscription's quota does not allow the group; raising it is a request to Azure."""

    REASON = "QuotaExceeded"


class AccessDenied(WaitingError):
    """An identity lacks a role, or a credential was refused."""

    REASON = "AccessDenied"


class TransientError(SummarizerError):
    """The same call may go through later."""

    REASON = "ServiceUnavailable"


class Conflict(TransientError):
    """Somebody else changed the object in between; it has to be read again before it is written."""


class Throttled(TransientError):
    """The service asked for fewer calls; `retry_after` holds its waiting time in seconds."""


class CapacityUnavailable(TransientError):
    """The region has no room for the requested size at the moment; the group may fit later, elsewhere or smaller."""


class IntegrityError(SummarizerError):
    """A digest, a signature, a nonce or a claim is not the expected one."""

    REASON = "EvidenceRefused"
