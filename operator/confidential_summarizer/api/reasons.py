"""Every reason that a condition can carry. docs/reference/conditions.md has a part for each (a test compares)."""

from enum import StrEnum


class Reason(StrEnum):
    """The reason of a condition's last transition, one CamelCase word."""

    # What is done
    READY = "Ready"
    RESOLVED = "Resolved"
    GENERATED = "Generated"
    ADMITTED = "Admitted"
    ROLLED_OUT = "RolledOut"
    VERIFIED = "Verified"
    COMPLETED = "Completed"

    # What goes on
    PENDING = "Pending"
    PROGRESSING = "Progressing"
    MEASURING = "Measuring"
    ROLLING_OUT = "RollingOut"
    OPENING_FILE_SYSTEMS = "OpeningFileSystems"
    SUMMARIZING = "Summarizing"
    RUNNING = "Running"
    SCALED_TO_ZERO = "ScaledToZero"
    PAUSED = "Paused"
    DELETING = "Deleting"

    # What somebody has to do
    KEY_NOT_FOUND = "KeyNotFound"
    KEY_NOT_OWNED = "KeyNotOwned"
    AWAITING_APPROVAL = "AwaitingApproval"
    DEBUG_PROFILE_REFUSED = "DebugProfileRefused"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # noqa: S105 - a reason, not a secret
    ACCESS_DENIED = "AccessDenied"
    NOT_FOUND = "NotFound"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ACTION_REQUIRED = "ActionRequired"

    # What cannot work
    INVALID_SPEC = "InvalidSpec"
    INVALID_ANNOTATION = "InvalidAnnotation"
    NAME_TAKEN = "NameTaken"
    NOT_GRANTED = "NotGranted"
    IMAGE_UNUSABLE = "ImageUnusable"
    POLICY_INVALID = "PolicyInvalid"
    RELEASE_POLICY_INVALID = "ReleasePolicyInvalid"
    POLICY_DENIED = "PolicyDenied"
    SUMMARIZING_FAILED = "SummarizingFailed"
    SHARDS_FAILED = "ShardsFailed"
    EVIDENCE_REFUSED = "EvidenceRefused"

    # What may pass
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    GROUP_FAILED = "GroupFailed"
    INTERNAL_ERROR = "InternalError"

    # What is left behind
    ABANDONED = "Abandoned"
    KEY_LEFT = "KeyLeft"

    # What somebody changed
    MODIFIED_OUTSIDE = "ModifiedOutside"
    CORRECTED = "Corrected"
