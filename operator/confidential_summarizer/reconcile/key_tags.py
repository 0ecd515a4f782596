"""Whose a key is, and who let which policy in: read from and written to the key's tags in the vault. Pure.

The resource's UID is in the tag's name, so several resources can share a key. A UID is given by the API server and
never used twice, in any cluster. Limits of a vault: 15 tags with names and values of 256 characters.
"""

from collections.abc import Mapping, Sequence

from confidential_summarizer.api.names import ADOPT_KEY_ANNOTATION
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.azure.keys import VaultKey

OWNER_TAG = "csum-owner-"
"""With the UID: the namespace and name of a resource that manages the key."""
ADDED_TAG = "csum-added-"
"""With the UID: the hashes that the operator let in for this resource; the only ones that it may take out."""
CONSENT_TAG = "csum-adoptable-by"
"""`<namespace>/<name>` of the resource that may adopt the key; set by somebody who may write to the vault."""

DIGITS = 16
"""Of each hash that is kept: 64 bits, not found by chance, and 15 of them fit into a tag."""
MAX_ADDED = 15


def owned(key: VaultKey, resource: ConfidentialSummarizer) -> bool:
    """Tell whether the key was imported for, or adopted by, this very resource."""
    return OWNER_TAG + resource.metadata.uid in key.tags


def shared(key: VaultKey, resource: ConfidentialSummarizer) -> bool:
    """Tell whether other resources manage the key as well."""
    return any(tag.startswith(OWNER_TAG) and tag != OWNER_TAG + resource.metadata.uid for tag in key.tags)


def adoptable(key: VaultKey, resource: ConfidentialSummarizer, vault: str) -> bool:
    """Tell whether both sides agree: the resource by its annotation, the key by a tag or by a neighbour's ownership.

    The annotation alone would be no defence: whoever writes the resource writes it, too.
    """
    if resource.metadata.annotations.get(ADOPT_KEY_ANNOTATION) != f"{vault}/{key.name}":
        return False
    namespace = resource.metadata.namespace + "/"
    at_home = any(tag.startswith(OWNER_TAG) and value.startswith(namespace) for tag, value in key.tags.items())
    return at_home or key.tags.get(CONSENT_TAG) == resource.key


def added(key: VaultKey, resource: ConfidentialSummarizer) -> list[str]:
    """Return the hashes in the key's policy that were let in for this resource, and for no other."""
    others = {
        short for tag, value in key.tags.items()
        if tag.startswith(ADDED_TAG) and tag != ADDED_TAG + resource.metadata.uid
        for short in value.split()
    }  # fmt: skip
    ours = set(key.tags.get(ADDED_TAG + resource.metadata.uid, "").split()) - others
    admitted = key.release_policy.host_data if key.release_policy else ()
    return [hash_ for hash_ in admitted if hash_[:DIGITS] in ours]


def with_added(tags: Mapping[str, str], resource: ConfidentialSummarizer, hashes: Sequence[str]) -> dict[str, str]:
    """Return the tags of a key that the resource manages, and to which these hashes were added for it."""
    uid = resource.metadata.uid
    kept = " ".join(hash_[:DIGITS] for hash_ in hashes[-MAX_ADDED:])
    return {**tags, OWNER_TAG + uid: resource.key, ADDED_TAG + uid: kept}


def without(tags: Mapping[str, str], resource: ConfidentialSummarizer) -> dict[str, str]:
    """Return the tags of a key that the resource no longer manages."""
    ours = (OWNER_TAG + resource.metadata.uid, ADDED_TAG + resource.metadata.uid)
    return {tag: value for tag, value in tags.items() if tag not in ours}
