"""Sealed file systems and their keys."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from confidential_summarizer.api.output import Output
from confidential_summarizer.api.rules import Rule, Ruled
from confidential_summarizer.api.values import Name, SecretReference
from confidential_summarizer.hosts import ATTESTATION, BLOB_URL, MANAGED_HSM, VAULT

LARGEST_VERSION = 2**53 - 1
"""The largest integer that every JSON reader on the way keeps exactly."""


class Role(StrEnum):
    """What a sealed file system is for."""

    DOCUMENTS = "Documents"
    MODELS = "Models"


class BlobAccess(StrEnum):
    """How the sidecar reads the blob."""

    MANAGED_IDENTITY = "ManagedIdentity"
    ANONYMOUS = "Anonymous"


class KeyManagement(StrEnum):
    """Who puts the key into the vault and maintains its release policy."""

    EXTERNAL = "External"
    IMPORT = "Import"


class KeyType(StrEnum):
    """The vault's key type."""

    OCT_HSM = "oct-HSM"
    RSA_HSM = "RSA-HSM"


class KeyDeletionPolicy(StrEnum):
    """What becomes of the key when the resource is deleted."""

    RETAIN = "Retain"
    DISABLE = "Disable"
    DELETE = "Delete"


class KeyDerivation(Ruled):
    """How the 32-byte file system key is derived from an RSA-HSM key (HKDF-SHA256)."""

    salt: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})*$", max_length=256)] = Field(
        description="Salt in hexadecimal. Always explicit: the sidecar uses an empty salt where none is given, and "
        "`csum key import` prints the one it used."
    )
    label: str = Field(
        default="Symmetric Encryption Key", max_length=256, description="Label (the info argument of HKDF)."
    )


class Key(Ruled):
    """The key of a sealed file system and where it is let out."""

    name: Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z-]+$", max_length=127)] = Field(
        description="Name of the key in the vault, without a version."
    )
    vault: Annotated[str, StringConstraints(max_length=253)] = Field(
        description="Host name of the Managed HSM or the Key Vault Premium, without https://, for example "
        "party2.managedhsm.azure.net."
    )
    attestation: Annotated[str, StringConstraints(max_length=253)] = Field(
        description="Host name of the attestation service whose tokens the vault accepts, without https://, for "
        "example sharedeus2.eus2.attest.azure.net."
    )
    management: KeyManagement = Field(
        default=KeyManagement.EXTERNAL,
        description="External: the data owner imports the key and approves each policy with `csum key approve`. "
        "Import: the operator imports it from secretRef and keeps its release policy up to date.",
    )
    secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret with the raw key bytes; read once when management is Import, after which it may be "
        "deleted.",
    )
    type: KeyType = Field(
        default=KeyType.OCT_HSM, description="oct-HSM (Managed HSM) or RSA-HSM (Key Vault Premium, with derivation)."
    )
    derivation: KeyDerivation | None = Field(default=None, description="Needed with, and only with, type RSA-HSM.")
    deletion_policy: KeyDeletionPolicy = Field(
        default=KeyDeletionPolicy.RETAIN,
        description="What becomes of the key when this resource is deleted. Only a key with management Import is "
        "ever disabled or deleted.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse keys that nobody could import or the sidecar could not use."""
        return (
            Rule(
                "management Import needs secretRef, the Secret with the key; with management External remove secretRef",
                "(self.management == 'Import') == has(self.secretRef)",
                lambda self: (self.management is KeyManagement.IMPORT) == (self.secret_ref is not None),
            ),
            Rule(
                "type RSA-HSM needs derivation with the salt that the image was sealed with; remove derivation for "
                "oct-HSM",
                "(self.type == 'RSA-HSM') == has(self.derivation)",
                lambda self: (self.type is KeyType.RSA_HSM) == (self.derivation is not None),
            ),
            Rule(
                "vault must be the host name of a Managed HSM or a Key Vault of Azure, such as "
                "party2.managedhsm.azure.net, without https://",
                _cel("vault", VAULT),
                lambda self: _is(VAULT, self.vault),
            ),
            Rule(
                "attestation must be the host name of an attestation service of Azure, such as "
                "sharedeus2.eus2.attest.azure.net, without https://",
                _cel("attestation", ATTESTATION),
                lambda self: _is(ATTESTATION, self.attestation),
            ),
            Rule(
                "only a Managed HSM takes oct-HSM keys: use a vault under managedhsm, or type RSA-HSM",
                f"self.type != 'oct-HSM' || !{_cel('vault', VAULT)} || {_cel('vault', MANAGED_HSM)}",
                lambda self: (
                    self.type is not KeyType.OCT_HSM or not _is(VAULT, self.vault) or _is(MANAGED_HSM, self.vault)
                ),
            ),
        )


class FileSystem(Ruled):
    """A sealed file system: an encrypted image in blob storage that only the attested group can open."""

    name: Name = Field(description="Name of the file system; it is mounted at /mnt/remote/<name>.")
    role: Role = Field(description="Documents: the text to summarize. Models: model weights.")
    blob_url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        description="https URL of the sealed image, without a SAS: a SAS is a secret, and a spec is no place for one."
    )
    access: BlobAccess = Field(
        default=BlobAccess.MANAGED_IDENTITY,
        description="ManagedIdentity: read with spec.identity. Anonymous: the blob is public (it is encrypted anyway).",
    )
    content_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None,
        alias="contentSHA256",
        description="SHA-256 of the content manifest, which `csum seal` prints. The group refuses other files than "
        "these, whoever writes the blob. Needed for Models.",
    )
    content_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")] | None = Field(
        default=None,
        description="Ed25519 public key of the owner, which `csum seal --sign` prints, for documents that change "
        "often: the group takes whatever this key signed for this file system, from minVersion on. With, and "
        "only with, minVersion.",
    )
    min_version: Annotated[int, Field(ge=1, le=LARGEST_VERSION)] | None = Field(
        default=None, description="Oldest version of signed content that the group takes (`csum seal --version`)."
    )
    key: Key = Field(description="The key that opens the image.")
    output: Output | None = Field(
        default=None,
        description="For Documents: also write each result, encrypted to the owner, into blob storage.",
    )

    @classmethod
    def rules(cls) -> Sequence[Rule]:
        """Refuse URLs that the sidecar cannot open, models that storage could replace, and pins that cannot hold."""
        return (
            Rule(
                "pin the models: set contentSHA256, csum seal prints it; whoever writes an unpinned model can make it "
                "repeat the documents",
                "self.role != 'Models' || has(self.contentSHA256)",
                lambda self: self.role is not Role.MODELS or self.content_sha256 is not None,
            ),
            Rule(
                "contentKey needs minVersion, the oldest version that the group takes, and the other way round",
                "has(self.contentKey) == has(self.minVersion)",
                lambda self: (self.content_key is None) == (self.min_version is None),
            ),
            Rule(
                "set contentSHA256 for files that stay, or contentKey and minVersion for signed files that change, not "
                "both",
                "!has(self.contentKey) || !has(self.contentSHA256)",
                lambda self: self.content_key is None or self.content_sha256 is None,
            ),
            Rule(
                "output is for file systems with role Documents that have contentSHA256, or contentKey and minVersion: "
                "a result says of which content it is",
                "!has(self.output) || (self.role == 'Documents' && (has(self.contentSHA256) || has(self.contentKey)))",
                lambda self: (
                    self.output is None
                    or (self.role is Role.DOCUMENTS and (self.content_sha256 or self.content_key) is not None)
                ),
            ),
            Rule(
                "blobURL must be an https URL of a blob in Azure, for example "
                "https://party2.blob.core.windows.net/sealed/contracts.img, without a query (a SAS is a secret)",
                _cel("blobURL", BLOB_URL),
                lambda self: _is(BLOB_URL, self.blob_url),
            ),
        )


def _cel(field: str, expression: str) -> str:
    """Return the CEL form of "the whole field matches"; a raw literal, since CEL reads backslashes itself."""
    return f"self.{field}.matches(r'^{expression}$')"


def _is(expression: str, text: str) -> bool:
    return re.fullmatch(expression, text) is not None
