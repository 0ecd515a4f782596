"""A vault as the rest of the product sees it: what it says about a key, and what can be asked of it. No SDK here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from confidential_summarizer.errors import Conflict, KeyDeleted, NotFound, ReleasePolicyError
from confidential_summarizer.release import ReleasePolicy, compare

KeyMaterial = bytes | RSAPrivateKey
"""32 bytes become an oct-HSM key (Managed HSM), an RSA key becomes RSA-HSM (Managed HSM or Key Vault Premium)."""


@dataclass(frozen=True)
class VaultKey:
    """What a vault says about a key; never the key itself.

    Attributes:
        id: The key's URL with its version.
        name: The key's name.
        kty: `oct-HSM` or `RSA-HSM` for the keys that this product imports.
        exportable: Whether the key can be released at all.
        release_policy: To whom it is released, None where it has no policy.
        immutable: Whether the release policy can never change.
        enabled: Whether the key can be used.
        deleted: Whether the key is soft-deleted; it lets nothing out until it is recovered.
        tags: The latest version's tags; a new version begins with its own.
        purge_date: When the vault destroys the key if it is deleted and nobody recovers it.
    """

    id: str
    name: str
    kty: str
    exportable: bool
    release_policy: ReleasePolicy | None
    immutable: bool = False
    enabled: bool = True
    deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    purge_date: datetime | None = None


class Vault(Protocol):
    """What the rest of the product needs from a vault; tests put a hand-written one in its place."""

    @property
    def host(self) -> str:
        """The vault's host name."""

    async def get(self, name: str) -> VaultKey | None:
        """Return the key's latest version, or None where the vault has none of that name."""

    async def import_key(
        self,
        name: str,
        material: KeyMaterial,
        policy: ReleasePolicy,
        *,
        immutable: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> VaultKey:
        """Import key material under a release policy."""

    async def update_release_policy(
        self, name: str, policy: ReleasePolicy, *, tags: Mapping[str, str] | None = None
    ) -> VaultKey:
        """Replace the key's release policy, and all of its tags where some are given."""

    async def disable(self, name: str) -> None:
        """Let nobody use the key until it is enabled again."""

    async def delete(self, name: str) -> None:
        """Soft-delete the key."""

    async def recover(self, name: str) -> None:
        """Bring a soft-deleted key back."""

    async def purge(self, name: str) -> None:
        """Destroy a soft-deleted key."""


async def amend_release_policy(
    vault: Vault,
    name: str,
    change: Callable[[ReleasePolicy], ReleasePolicy],
    *,
    tags: Mapping[str, str] | None = None,
) -> tuple[ReleasePolicy, ReleasePolicy]:
    """Read a key's release policy, change it, write it, and read it back.

    Vaults have no conditional writes; reading back is how a change by somebody else in between is noticed.

    Args:
        vault: The open vault.
        name: The key's name.
        change: Makes the new policy from the present one.
        tags: All tags that the key is to have; None leaves them.

    Returns:
        The policy before and after. Nothing is written if nothing changes.

    Raises:
        NotFound: There is no such key.
        KeyDeleted: The key is soft-deleted.
        ReleasePolicyError: The key has no policy, or an immutable one.
        Conflict: The vault shows another policy than the one written.
    """
    key, before = await _changeable(vault, name)
    after = change(before)
    if after == before and (tags is None or tags == key.tags):
        return before, after
    await vault.update_release_policy(name, after, tags=tags)
    stored = await vault.get(name)
    if stored is None or stored.release_policy is None or compare(after, stored.release_policy):
        raise Conflict(
            f"Key {name} in {vault.host}: the release policy is not the one just written; somebody else changed it, or "
            "the vault does not show it yet. Look at it with `csum key show` and repeat."
        )
    return before, after


async def _changeable(vault: Vault, name: str) -> tuple[VaultKey, ReleasePolicy]:
    subject = f"Key {name} in {vault.host}"
    key = await vault.get(name)
    if key is None:
        raise NotFound(f"{subject}: there is no such key. Import it with `csum key import`.")
    if key.deleted:
        raise KeyDeleted(f"{subject}: the key is deleted. Recover it, or import it under another name.")
    if key.release_policy is None:
        raise ReleasePolicyError(f"{subject}: the key has no release policy and can never be released.")
    if key.immutable:
        raise ReleasePolicyError(
            f"{subject}: the release policy is immutable. Import the key under another name for another policy."
        )
    return key, key.release_policy
