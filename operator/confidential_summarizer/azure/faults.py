"""What Azure's error codes mean here: for each, our error and the next step for a person.

Sources: the services' messages as their SDKs, issue trackers and troubleshooting guides record them. The first entry
whose pattern is found in `code: message` decides, so that narrow ones stand above wide ones.
"""

import re
from dataclasses import dataclass

from confidential_summarizer.errors import (
    AccessDenied,
    CapacityUnavailable,
    ImageError,
    KeyDeleted,
    NotFound,
    QuotaExceeded,
    ReleasePolicyError,
    SpecError,
    SummarizerError,
    Throttled,
    TransientError,
    WaitingError,
)


@dataclass(frozen=True)
class Fault:
    """One kind of refusal.

    Attributes:
        pattern: Searched in the service's `code: message`, ignoring case.
        error: The class of ours that says what a retry is worth.
        remedy: What a person does about it.
        retry_after: Seconds to wait where the service names none; only for transient errors.
    """

    pattern: re.Pattern[str]
    error: type[SummarizerError]
    remedy: str
    retry_after: float | None = None


def _fault(pattern: str, error: type[SummarizerError], remedy: str, *, retry_after: float | None = None) -> Fault:
    return Fault(re.compile(pattern, re.IGNORECASE), error, remedy, retry_after)


KEY_FAULTS = (
    _fault(
        r"AKV\.SKR\.1001\b",
        SpecError,
        "Exportable keys need a Key Vault of the Premium tier or a Managed HSM: import the key there.",
    ),
    _fault(
        r"AKV\.SKR\.(1003|1014)\b",
        SpecError,
        "Whether a key is exportable is fixed when it is made: import it again under another name.",
    ),
    _fault(
        r"AKV\.SKR\.1004\b",
        ReleasePolicyError,
        "An exportable key needs a release policy: give the admitted host-data with --host-data or --for.",
    ),
    _fault(
        r"AKV\.SKR\.1005\b",
        ReleasePolicyError,
        "This key is not exportable, so it takes no release policy: import it again under another name with "
        "`csum key import`.",
    ),
    _fault(
        r"AKV\.SKR\.1006\b",
        SpecError,
        "A Premium vault lets out hardware keys only: use --kty RSA-HSM, or a Managed HSM for oct-HSM.",
    ),
    _fault(
        r"AKV\.SKR\.1016\b",
        ReleasePolicyError,
        "A release policy belongs to the key and not to one of its versions: name the key without a version.",
    ),
    _fault(
        r"AKV\.SKR\.1020\b",
        ReleasePolicyError,
        "The release policy is immutable. Import the key under another name and put that name into the resource.",
    ),
    _fault(
        r"too large, maximum size is 64",
        SpecError,
        "An RSA key was sent as oct-HSM: use --kty RSA-HSM for it.",
    ),
    _fault(
        r"KeyTypeNotSupported|Invalid kty value|oct(-HSM)? key.{0,40}not supported",
        SpecError,
        "Symmetric keys live on a Managed HSM only: name one, or use --kty RSA-HSM with a Premium vault.",
    ),
    _fault(
        r"ObjectIsDeletedButRecoverable|deleted but recoverable",
        KeyDeleted,
        "A deleted key holds the name: recover it, purge it, or choose another name.",
    ),
    _fault(
        r"ObjectIsBeingDeleted|ObjectIsBeingRecovered|being deleted|being recovered",
        TransientError,
        "The vault is still deleting or recovering the key: try again shortly.",
        retry_after=5,
    ),
    _fault(
        r"purge.?protection",
        WaitingError,
        "The vault's purge protection keeps deleted keys until their retention time ends; nobody can shorten it. "
        "The key is deleted and lets nothing out meanwhile.",
    ),
    _fault(
        r"KeyDisabled|key is disabled|Operation \w+ is not allowed on a disabled key",
        WaitingError,
        "The key is disabled: its owner has to enable it.",
    ),
    _fault(r"\bKeyNotFound\b", NotFound, "No such key: import it with `csum key import`."),
)

BLOB_FAULTS = (
    _fault(
        r"\bContainerNotFound\b",
        NotFound,
        "The blob container does not exist: create it (`csum push --create-container`), or correct the URL.",
    ),
    _fault(r"\bBlobNotFound\b", NotFound, "The blob does not exist: push the image, or correct the URL."),
    _fault(
        r"\bInvalidBlobType\b",
        SpecError,
        "A blob of another type has this name: delete it, or push under another name.",
    ),
    _fault(
        r"BlobImmutableDueTo(Policy|LegalHold)",
        WaitingError,
        "A retention policy or a legal hold of the container keeps the blob: whoever set it has to end it.",
    ),
    _fault(
        r"LeaseIdMissing|LeaseAlreadyPresent|LeaseNotPresent",
        WaitingError,
        "Somebody holds a lease on the blob: release it first.",
    ),
    _fault(
        r"AuthorizationPermissionMismatch|AuthorizationFailure|InsufficientAccountPermissions"
        r"|KeyBasedAuthenticationNotPermitted|PublicAccessNotPermitted",
        AccessDenied,
        "Give the identity the role Storage Blob Data Contributor on the account (Storage Blob Delegator for a SAS), "
        "and check the account's network rules.",
    ),
    _fault(
        r"\bAuthenticationFailed\b|NoAuthenticationInformation",
        AccessDenied,
        "The account key or SAS is wrong or has expired.",
    ),
)

GROUP_FAULTS = (
    _fault(
        r"InvalidCcePolicy|Security policy is (either )?not valid|framework_version is",
        SpecError,
        "Generate the policy again: the service cannot use this one.",
    ),
    _fault(
        r"InaccessibleImage|Failed to pull image|ErrImagePull",
        ImageError,
        "Check the image's name, and spec.registryCredentials, with which a container group pulls it.",
    ),
    _fault(
        r"RegistryErrorResponse",
        TransientError,
        "The image's registry failed; a copy in an Azure container registry avoids rate limits.",
        retry_after=60,
    ),
    _fault(r"OsVersionNotSupported", ImageError, "Use a Linux image for x86-64."),
    _fault(
        r"InvalidImageRegistryIdentity",
        SpecError,
        "The registry's identity must be a user-assigned identity that the group has as well.",
    ),
    _fault(
        r"ContainerLimitGreaterThanContainerGroupTotalRequest",
        SpecError,
        "A container's limit is above the sum of the group's requests: lower it.",
    ),
    _fault(
        r"ContainerGroupQuotaReached|quota '.*' exceeded|QuotaExceeded",
        QuotaExceeded,
        "Ask Azure for a higher quota in this region, or free some of it.",
    ),
    _fault(
        r"is not available in the location|InsufficientCapacity",
        CapacityUnavailable,
        "The region has no room for this size at the moment: try smaller resources, or another region.",
        retry_after=120,
    ),
    _fault(
        r"ServerTimeout",
        TransientError,
        "The service timed out; the group may exist all the same, so it is looked up before the next try.",
        retry_after=15,
    ),
    _fault(
        r"ServiceAssociationLinkNotReady|ContainerGroupTransitioning|still transitioning",
        TransientError,
        "An earlier change is still under way.",
        retry_after=10,
    ),
    _fault(
        r"ResourceGroupNotFound",
        NotFound,
        "Create the resource group, or correct its name in the target.",
    ),
    _fault(
        r"SubscriptionNotRegistered|MissingSubscriptionRegistration",
        WaitingError,
        "Register the provider once: az provider register -n Microsoft.ContainerInstance.",
    ),
    _fault(
        r"RequestDisallowedByPolicy",
        WaitingError,
        "An Azure Policy forbids it: change the target as the policy asks, or let its owner make an exemption.",
    ),
    _fault(
        r"\bScopeLocked\b",
        WaitingError,
        "A lock on the group, its resource group or the subscription forbids it: whoever set the lock has to take it "
        "away.",
    ),
    _fault(
        r"ReadOnlyDisabledSubscription",
        WaitingError,
        "The subscription is disabled: its owner has to enable it again.",
    ),
    _fault(
        r"LocationNotAvailableForResourceType",
        SpecError,
        "The region does not offer container groups: choose another.",
    ),
    _fault(
        r"LinkedAuthorizationFailed",
        AccessDenied,
        "The identity may not use a resource that the group links to (subnet or identity): "
        "give it the role Managed Identity Operator, or Network Contributor on the subnet.",
    ),
    _fault(
        r"\bAuthorizationFailed\b",
        AccessDenied,
        "Give the identity the role Contributor on the resource group.",
    ),
    _fault(r"\bResourceNotFound\b", NotFound, "The resource does not exist (any more)."),
)

COMMON_FAULTS = (
    _fault(
        r"ForbiddenByFirewall|not authorized to access this resource through|client address is not authorized",
        AccessDenied,
        "The service's firewall refuses this address: allow it, or call from an allowed network.",
    ),
    _fault(
        r"ForbiddenByRbac|ForbiddenByPolicy|does not have .{0,60}permission|not authorized to perform",
        AccessDenied,
        "Give the identity the missing role; for keys that is Key Vault Crypto Officer or Managed HSM Crypto User.",
    ),
    _fault(r"TooManyRequests|ServerBusy", Throttled, "The service asks for fewer calls."),
)

FAULTS = (*KEY_FAULTS, *BLOB_FAULTS, *GROUP_FAULTS, *COMMON_FAULTS)
