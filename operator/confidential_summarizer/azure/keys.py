"""Keys of a Managed HSM or a Key Vault Premium: import, read, release policy, deletion.

Source: Key Vault REST API through azure-keyvault-keys.
"""

from collections.abc import Mapping
from dataclasses import replace

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import JsonWebKey, KeyReleasePolicy, KeyVaultKey
from azure.keyvault.keys.aio import KeyClient

from confidential_summarizer.azure.client import Client
from confidential_summarizer.azure.conversion import converted
from confidential_summarizer.azure.kept import Kept
from confidential_summarizer.azure.transport import client_options
from confidential_summarizer.azure.vault import KeyMaterial, VaultKey
from confidential_summarizer.errors import ReleasePolicyError
from confidential_summarizer.hosts import checked_vault
from confidential_summarizer.release import ReleasePolicy

_CONTENT_TYPE = "application/json; charset=utf-8"


class KeyVault(Client[KeyClient]):
    """The async client of one vault. Use as an async context manager."""

    def __init__(self, vault_host: str, credential: AsyncTokenCredential, *, retries: int = 0) -> None:
        """Prepare the client; no call is made.

        Args:
            vault_host: `NAME.managedhsm.azure.net` or `NAME.vault.azure.net`.
            credential: Who calls; stays the caller's to close.
            retries: How often the SDK repeats a failed call.

        Raises:
            SpecError: The host is none of Azure's vaults.
        """
        self.host = checked_vault(vault_host)
        super().__init__(KeyClient(f"https://{self.host}", credential, **client_options(retries)))

    async def get(self, name: str) -> VaultKey | None:
        """Return the key's latest version; a soft-deleted one with `deleted` set; None where there is none.

        Raises:
            ReleasePolicyError: The key has a release policy that is not of the known grammar.
            SummarizerError: The vault refused or failed.
        """
        with converted(self._subject(name)):
            try:
                return self._vault_key(await self._client.get_key(name))
            except ResourceNotFoundError:
                return await self._deleted(name)

    async def import_key(
        self,
        name: str,
        material: KeyMaterial,
        policy: ReleasePolicy,
        *,
        immutable: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> VaultKey:
        """Import key material as an exportable hardware key.

        Args:
            name: The key's name; an existing key of that name gets a new version.
            material: The key itself; it goes nowhere but into this one request.
            policy: To whom the key may be released.
            immutable: Fix the policy for ever: no later hash can be approved.
            tags: At most 15, names and values of at most 256 characters.

        Raises:
            KeyDeleted: A soft-deleted key holds the name.
            SummarizerError: The vault refused or failed.
        """
        with converted(self._subject(name)):
            key = await self._client.import_key(
                name,
                _json_web_key(material),
                hardware_protected=True,
                exportable=True,
                release_policy=_encoded(policy, immutable=immutable),
                tags=None if tags is None else dict(tags),
            )
        return self._vault_key(key)

    async def update_release_policy(
        self, name: str, policy: ReleasePolicy, *, tags: Mapping[str, str] | None = None
    ) -> VaultKey:
        """Replace the key's release policy, which its versions share, and all of its tags where some are given.

        Raises:
            NotFound: There is no such key.
            ReleasePolicyError: The present policy is immutable.
            SummarizerError: The vault refused or failed.
        """
        with converted(self._subject(name)):
            encoded = _encoded(policy, immutable=False)
            return self._vault_key(
                await self._client.update_key_properties(
                    name, release_policy=encoded, tags=None if tags is None else dict(tags)
                )
            )

    async def disable(self, name: str) -> None:
        """Let nobody use the key until it is enabled again, nor its older versions, which can be named."""
        with converted(self._subject(name)):
            async for one in self._client.list_properties_of_key_versions(name):
                if one.enabled is not False:
                    await self._client.update_key_properties(name, one.version, enabled=False)

    async def delete(self, name: str) -> None:
        """Soft-delete the key; a key that is gone already counts as deleted."""
        with converted(self._subject(name)):
            try:
                await self._client.delete_key(name)
            except ResourceNotFoundError:
                return

    async def recover(self, name: str) -> None:
        """Bring a soft-deleted key back."""
        with converted(self._subject(name)):
            await self._client.recover_deleted_key(name)

    async def purge(self, name: str) -> None:
        """Destroy a soft-deleted key for good; a key that is gone already counts as purged."""
        with converted(self._subject(name)):
            try:
                await self._client.purge_deleted_key(name)
            except ResourceNotFoundError:
                return

    async def _deleted(self, name: str) -> VaultKey | None:
        try:
            key = await self._client.get_deleted_key(name)
            return replace(self._vault_key(key, deleted=True), purge_date=key.scheduled_purge_date)
        except HttpResponseError as error:
            if error.status_code in (403, 404, 405):  # without the right to list deleted keys it counts as absent
                return None
            raise

    def _subject(self, name: str) -> str:
        return f"Key {name} in {self.host}"

    def _vault_key(self, key: KeyVaultKey, *, deleted: bool = False) -> VaultKey:
        properties = key.properties
        policy = properties.release_policy
        try:
            parsed = ReleasePolicy.parse(policy.encoded_policy) if policy is not None else None
        except ReleasePolicyError as error:
            raise ReleasePolicyError(f"{self._subject(properties.name)}: {error}") from error
        return VaultKey(
            id=key.id,
            name=properties.name,
            kty=str(getattr(key.key_type, "value", key.key_type)),
            exportable=bool(properties.exportable),
            release_policy=parsed,
            immutable=bool(policy and policy.immutable),
            enabled=properties.enabled is not False,
            deleted=deleted,
            tags=dict(properties.tags or {}),
        )


class Vaults(Kept[KeyVault]):
    """The clients of all vaults, by host name; one that is none of Azure's vaults is a SpecError."""

    def __init__(self, credential: AsyncTokenCredential) -> None:
        super().__init__(lambda host: KeyVault(host.lower(), credential))


def _encoded(policy: ReleasePolicy, *, immutable: bool) -> KeyReleasePolicy:
    # The SDK encodes the bytes itself; a text instead of bytes arrives at the vault as no policy at all.
    # False is left out of the request: the vault's default, and what Microsoft's own tool sends.
    return KeyReleasePolicy(policy.to_bytes(), content_type=_CONTENT_TYPE, immutable=immutable or None)


def _json_web_key(material: KeyMaterial) -> JsonWebKey:
    if isinstance(material, bytes):
        return JsonWebKey(kty="oct-HSM", k=material)
    private = material.private_numbers()
    public = private.public_numbers
    # Hardware protection of an RSA key is asked for beside the key, whose type stays RSA, as Microsoft's tool does it.
    return JsonWebKey(
        kty="RSA",
        n=_big_endian(public.n),
        e=_big_endian(public.e),
        d=_big_endian(private.d),
        p=_big_endian(private.p),
        q=_big_endian(private.q),
        dp=_big_endian(private.dmp1),
        dq=_big_endian(private.dmq1),
        qi=_big_endian(private.iqmp),
    )


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
