"""What stands between a key and a group: the first thing that objects is the reason. Pure."""

from dataclasses import dataclass

from confidential_summarizer.api.file_systems import FileSystem
from confidential_summarizer.api.names import USE_LABEL
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.vault import VaultKey
from confidential_summarizer.blueprint import is_debug
from confidential_summarizer.reconcile.secrets import SecretUse
from confidential_summarizer.release import Admission, ReleasePolicy, admits


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


Objection = tuple[Reason, str]
"""Why the key cannot come out, and who has to do what about it."""


def objection(facts: KeyFacts) -> Objection | None:
    """Return the first objection to letting the key out to the policy; None if it comes out."""
    key = facts.key
    if key is None:
        return _absence(facts)
    if key.deleted:
        return Reason.KEY_NOT_FOUND, f"{facts.subject} is deleted: {_import_command(facts)}, or recover it"
    if not key.enabled:
        return Reason.KEY_NOT_FOUND, f"{facts.subject} is disabled: its owner has to enable it"
    if key.release_policy is None:
        return Reason.KEY_NOT_FOUND, (
            f"{facts.subject} has no release policy and can never leave the vault: import it again with `csum key "
            "import`"
        )
    return _refusal(facts, key.release_policy)


def _absence(facts: KeyFacts) -> Objection:
    reference = facts.file_system.key.secret_ref
    if reference is None:
        return Reason.KEY_NOT_FOUND, f"{facts.subject} does not exist: {_import_command(facts)}"
    namespace = facts.resource.metadata.namespace
    return Reason.SECRET_NOT_FOUND, (
        f"{facts.subject} does not exist, and Secret {namespace}/{reference.name} to import it from has no key "
        f"{reference.key}: `kubectl -n {namespace} create secret generic {reference.name} "
        f"--from-file={reference.key}=FILE`, and label it {USE_LABEL}={SecretUse.KEY}"
    )


def _import_command(facts: KeyFacts) -> str:
    key = facts.file_system.key
    # Whose evidence is believed is the owner's to say: HOST is not taken from what they look at.
    command = f"csum key import {key.name} --key FILE --vault {key.vault} --attestation HOST"
    return f"the data owner has to run `{command} --for {facts.resource.key}{_which(facts)}`"


def _refusal(facts: KeyFacts, policy: ReleasePolicy) -> Objection | None:
    def admission(*, debuggable: bool) -> Admission:
        authority = facts.file_system.key.attestation
        return admits(policy, facts.host_data, authority=authority, debuggable=debuggable)

    # A group that the host may look into counts as debuggable, whatever the processor says of it.
    asked = admission(debuggable=is_debug(facts.resource))
    if asked.admitted:
        return None
    if is_debug(facts.resource) and admission(debuggable=False).admitted:
        return Reason.DEBUG_PROFILE_REFUSED, (
            f"{facts.subject} is only for groups that cannot be debugged, and policy.profile is Debug: use profile "
            "Restricted, or another key for test data"
        )
    return Reason.AWAITING_APPROVAL, (
        f"{facts.subject} does not admit this policy yet ({asked.reason}): the data owner has to run "
        f"`{approval_command(facts)}`"
    )


def approval_command(facts: KeyFacts) -> str:
    """Return the command by which a data owner lets the key out to this policy, as it has to be typed."""
    return f"csum key approve {facts.resource.key} --expect-host-data {facts.host_data}{_which(facts)}"


def _which(facts: KeyFacts) -> str:
    """Return the options without which `csum key` would take another file system, or derive another policy."""
    options = ""
    if facts.resource.spec.documents != [facts.file_system]:  # which it takes by itself
        options += f" --file-system {facts.file_system.name}"
    if facts.resource.spec.access.token_secret_ref is not None:
        options += " --token-file FILE"
    return options
