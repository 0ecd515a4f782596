"""What stands between a key and a group: tiny checks in a row, and the first that objects is the reason. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from confidential_summarizer.api.file_systems import FileSystem, KeyManagement
from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.keys import VaultKey
from confidential_summarizer.blueprint import is_debug
from confidential_summarizer.reconcile.secrets import SecretUse
from confidential_summarizer.release import Admission, admits


@dataclass(frozen=True)
class KeyFacts:
    """What is known of the key of a file system.

    Attributes:
        key: The key as its vault shows it; None where the vault has none of the name.
        host_data: The hash of the policy that the key is to admit.
    """

    resource: ConfidentialSummarizer
    file_system: FileSystem
    key: VaultKey | None
    host_data: str

    @property
    def subject(self) -> str:
        """The key, for people."""
        return f"key {self.file_system.key.name} in {self.file_system.key.vault}"

    def admission(self, *, debuggable: bool) -> Admission | None:
        """Return what the release policy says of a group with this policy; None where there is no release policy."""
        if self.key is None or self.key.release_policy is None:
            return None
        authority = self.file_system.key.attestation
        return admits(self.key.release_policy, self.host_data, authority=authority, debuggable=debuggable)


Objection = tuple[Reason, str]
"""Why the key cannot come out, and who has to do what about it."""

Check = Callable[[KeyFacts], Objection | None]


def objection(facts: KeyFacts) -> Objection | None:
    """Return the first objection to letting the key out to the policy; None if it comes out."""
    return next(filter(None, (check(facts) for check in CHECKS)), None)


def _can_be_imported(facts: KeyFacts) -> Objection | None:
    reference = facts.file_system.key.secret_ref
    if facts.key is not None or facts.file_system.key.management is not KeyManagement.IMPORT or reference is None:
        return None
    namespace = facts.resource.metadata.namespace
    return Reason.SECRET_NOT_FOUND, (
        f"{facts.subject} does not exist, and Secret {namespace}/{reference.name} to import it from has no key "
        f"{reference.key}: `kubectl -n {namespace} create secret generic {reference.name} "
        f"--from-file={reference.key}=FILE`, and label it {USE_LABEL}={SecretUse.KEY}"
    )


def _exists(facts: KeyFacts) -> Objection | None:
    if facts.key is not None and not facts.key.deleted:
        return None
    state = "is deleted" if facts.key else "does not exist"
    key = facts.file_system.key
    return Reason.KEY_NOT_FOUND, (
        f"{facts.subject} {state}: the data owner has to run `csum key import {key.name} --vault {key.vault} …`, or "
        "recover it"
    )


def _is_enabled(facts: KeyFacts) -> Objection | None:
    if facts.key is None or facts.key.enabled:
        return None
    return Reason.KEY_NOT_FOUND, f"{facts.subject} is disabled: its owner has to enable it"


def _has_a_release_policy(facts: KeyFacts) -> Objection | None:
    if facts.key is None or facts.key.release_policy is not None:
        return None
    return Reason.KEY_NOT_FOUND, (
        f"{facts.subject} has no release policy and can never leave the vault: import it again with `csum key import`"
    )


def _may_be_debugged(facts: KeyFacts) -> Objection | None:
    debugged, closed = facts.admission(debuggable=True), facts.admission(debuggable=False)
    if not is_debug(facts.resource) or debugged is None or debugged.admitted or closed is None or not closed.admitted:
        return None
    return Reason.DEBUG_PROFILE_REFUSED, (
        f"{facts.subject} is only for groups that cannot be debugged, and policy.profile is Debug: use profile "
        "Restricted, or another key for test data"
    )


def _is_admitted(facts: KeyFacts) -> Objection | None:
    # A group that the host may look into counts as debuggable, whatever the processor says of it.
    admission = facts.admission(debuggable=is_debug(facts.resource))
    if admission is None or admission.admitted:
        return None
    return Reason.AWAITING_APPROVAL, (
        f"{facts.subject} does not admit this policy yet ({admission.reason}): the data owner has to run "
        f"`{approval_command(facts)}`"
    )


CHECKS: tuple[Check, ...] = (
    _can_be_imported,
    _exists,
    _is_enabled,
    _has_a_release_policy,
    _may_be_debugged,
    _is_admitted,
)
"""In the order in which they make sense: each may assume that the ones before it had nothing to say."""


def approval_command(facts: KeyFacts) -> str:
    """Return the command by which a data owner lets the key out to this policy, as it has to be typed."""
    command = f"csum key approve {facts.resource.key} --expect-host-data {facts.host_data}"
    if facts.resource.spec.documents != [facts.file_system]:  # which approve takes by itself
        command += f" --file-system {facts.file_system.name}"
    if facts.resource.spec.access.token_secret_ref is not None:
        command += " --token-file FILE"
    return command
