"""Every error that this product raises on purpose, and what each one means for a retry.

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
│   ├── Throttled             the service said how long to wait
│   └── CapacityUnavailable   the region has no room for a group of this size at the moment
└── IntegrityError            bytes, evidence or a token are not what they claim to be: never retried silently
```

A message names the object, the cause and the next step. It never holds a key, a token or text of a document.
"""


class SummarizerError(Exception):
    """The root of the tree; catch it to tell our own errors from bugs."""


class SpecError(SummarizerError):
    """The input can never work as it stands; the message says what to change."""


class ImageError(SpecError):
    """An image reference, manifest, config or layer cannot be used."""


class UnhashableLayer(ImageError):
    """The layer's tar has no root hash: the reference converter refuses it with the same meaning."""


class PolicyError(SpecError):
    """A confidential-computing policy cannot be made from the input, or does not parse."""


class ReleasePolicyError(SpecError):
    """A key release policy is malformed, immutable where it must change, or would never let the key out."""


class SealingError(SpecError):
    """A directory cannot be sealed, or an image cannot be opened with the given key."""


class NameTaken(SpecError):
    """An object of another owner holds a name that the resource needs; it is neither changed nor deleted."""


class NotGranted(SpecError):
    """No grant of the cluster admin lets the namespace use something that the resource names."""


class WaitingError(SummarizerError):
    """The input is fine, but somebody else has to act; the message says who has to do what."""


class KeyDeleted(WaitingError):
    """A soft-deleted key holds the name: it has to be recovered or purged first."""


class KeyNotOwned(WaitingError):
    """The key was not imported for this resource, so its release policy is not this resource's to change."""


class SecretNotFound(WaitingError):
    """A Secret that the resource names, or a key in it, is missing."""


class SecretNotAllowed(WaitingError):
    """Nobody who may write the Secret has labelled it for this use."""


class NotFound(WaitingError):
    """A resource that somebody else creates is not there (yet)."""


class QuotaExceeded(WaitingError):
    """The subscription's quota does not allow the group; raising it is a request to Azure."""


class AccessDenied(WaitingError):
    """An identity lacks a role, or a credential was refused."""


class TransientError(SummarizerError):
    """The same call may go through later."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep the service's own waiting time in seconds, where it gave one."""
        super().__init__(message)
        self.retry_after = retry_after


class Throttled(TransientError):
    """The service asked for fewer calls; `retry_after` holds its waiting time in seconds."""


class CapacityUnavailable(TransientError):
    """The region has no room for the requested size at the moment; the group may fit later, elsewhere or smaller."""


class IntegrityError(SummarizerError):
    """A digest, a signature, a nonce or a claim is not the expected one."""
