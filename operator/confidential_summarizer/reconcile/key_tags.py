"""Whose a key is, and who let which policy in: read from and written to the key's tags in the vault. Pure.

The resource's UID is in the tag's name, so several resources can share a key. A UID is given by the API server and
never used twice, in any cluster. A resource that is deleted and made again has another UID but the same name in the
very same namespace, and takes over from its predecessor: the namespace's UID in the tag's value keeps others, in this
cluster or another, from that. Limits of a vault: `MOST_TAGS` tags with names and values of 256 characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from confidential_summarizer.api.names import ADOPT_KEY_ANNOTATION
from confidential_summarizer.api.resource import Metadata
from confidential_summarizer.azure.vault import VaultKey

OWNER_TAG = "csum-owner-"
"""With the UID: namespace and name of a resource that manages the key, and the UID of the namespace."""
ADDED_TAG = "csum-added-"
"""With the UID: the hashes that the operator let in for this resource; the only ones that it may take out."""
CONSENT_TAG = "csum-adoptable-by"
"""`<namespace>/<name>` of the resource that may adopt the key; set by somebody who may write to the vault."""

MOST_TAGS = 15
"""That a vault keeps of a key."""
DIGITS = 16
"""Of each hash that is kept: 64 bits, not found by chance, and 15 of them fit into a tag."""
MAX_ADDED = 15


@dataclass(frozen=True)
class Owner:
    """A resource as the owner of keys.

    Attributes:
        metadata: The resource's.
        namespace_uid: The UID of its namespace; empty where it cannot be read, and then there are no predecessors.
    """

    metadata: Metadata
    namespace_uid: str

    @property
    def uid(self) -> str:
        """The resource's own UID."""
        return self.metadata.uid

    @property
    def name(self) -> str:
        """What stands in the owner's tag."""
        return f"{self.metadata.key} {self.namespace_uid}".rstrip()

    def uids(self, key: VaultKey) -> set[str]:
        """The UIDs under which the key knows this resource: its own, and those of its predecessors."""
        if not self.namespace_uid:
            return {self.uid}
        return {self.uid} | {
            tag.removeprefix(OWNER_TAG)
            for tag, value in key.tags.items()
            if tag.startswith(OWNER_TAG) and value == self.name
        }


def owned(key: VaultKey, owner: Owner) -> bool:
    """Tell whether the key was imported for, or adopted by, this very resource or a predecessor."""
    return any(OWNER_TAG + uid in key.tags for uid in owner.uids(key))


def shared(key: VaultKey, owner: Owner) -> bool:
    """Tell whether other resources manage the key as well."""
    own = owner.uids(key)
    return any(tag.startswith(OWNER_TAG) and tag.removeprefix(OWNER_TAG) not in own for tag in key.tags)


def adoptable(key: VaultKey, owner: Owner, vault: str) -> bool:
    """Tell whether both sides agree: the resource by its annotation, the key by a tag, or by being of this namespace.

    The annotation alone would be no defence: whoever writes the resource writes it, too.
    """
    if owner.metadata.annotations.get(ADOPT_KEY_ANNOTATION) != f"{vault}/{key.name}":
        return False
    # By its UID: a namespace of the same name may be another cluster's.
    at_home = bool(owner.namespace_uid) and any(
        tag.startswith(OWNER_TAG) and value.endswith(f" {owner.namespace_uid}") for tag, value in key.tags.items()
    )
    return at_home or key.tags.get(CONSENT_TAG) == owner.metadata.key


def added(key: VaultKey, owner: Owner) -> list[str]:
    """Return the hashes in the key's policy that were let in for this resource, and for no other."""
    own = owner.uids(key)
    listed = {
        tag.removeprefix(ADDED_TAG): value.split() for tag, value in key.tags.items() if tag.startswith(ADDED_TAG)
    }
    others = {short for uid, shorts in listed.items() if uid not in own for short in shorts}
    ours = {short for uid in own for short in listed.get(uid, ())} - others
    admitted = key.release_policy.host_data if key.release_policy else ()
    return [hash_ for hash_ in admitted if hash_[:DIGITS] in ours]


def with_added(key: VaultKey, owner: Owner, hashes: Sequence[str]) -> dict[str, str]:
    """Return the tags of a key that the resource manages, and to which these hashes were added for it."""
    return {**without(key, owner), **first_tags(owner, hashes)}


def first_tags(owner: Owner, hashes: Sequence[str]) -> dict[str, str]:
    """Return the tags of a key that is imported for the resource."""
    kept = " ".join(hash_[:DIGITS] for hash_ in hashes[-MAX_ADDED:])
    return {OWNER_TAG + owner.uid: owner.name, ADDED_TAG + owner.uid: kept}


def without(key: VaultKey, owner: Owner) -> dict[str, str]:
    """Return the tags of a key that the resource no longer manages."""
    ours = {prefix + uid for uid in owner.uids(key) for prefix in (OWNER_TAG, ADDED_TAG)}
    return {tag: value for tag, value in key.tags.items() if tag not in ours}
