"""The whole way to a key: a fresh wrapping key, its attestation, the vault's release, and the checks of its answer."""

from dataclasses import dataclass

from attested_release.attestation import WrappingKey, attest
from attested_release.errors import ReleaseError
from attested_release.guest import Guest
from attested_release.http import Refused, request
from attested_release.identity import Identity, vault_audience
from attested_release.released_key import ReleasedKey, unwrap, verified

API_VERSION = "7.4"

CAUSES = {
    400: "the vault does not release this key: it has to be exportable and to have a release policy",
    401: "the vault does not take the identity's token: it may be expired or for another audience",
    403: (
        "the key's release policy admits another policy hash or attestation service, "
        "or the identity lacks the role that releases keys"
    ),
    404: "the vault has no key of this name, or it is deleted",
}
"""What each refusal means, after the sidecars' troubleshooting guide."""


@dataclass(frozen=True)
class KeyReference:
    """Which key, and who vouches.

    Attributes:
        kid: Name of the key, or `name/version`.
        vault: Host name of the vault or managed HSM.
        authority: Host name of the attestation service.
        access_token: Token for the vault; the identity's if empty.
    """

    kid: str
    vault: str
    authority: str
    access_token: str = ""

    def __repr__(self) -> str:
        return f"KeyReference({self.kid} of {self.vault})"


def release_key(guest: Guest, identity: Identity, key: KeyReference, user_agent: str = "") -> ReleasedKey:
    """Return a key that the vault lets go to this guest.

    Args:
        guest: Who is attested.
        identity: Asks the vault.
        key: Which key.
        user_agent: For the attestation service.

    Raises:
        ReleaseError: A service refused, or an answer does not hold.
        Unreachable: A service does not answer.
    """
    wrapping_key = WrappingKey()
    token = attest(guest, key.authority, wrapping_key.runtime_data, user_agent)
    access_token = key.access_token or identity.token(vault_audience(key.vault))
    subject = f"the vault {key.vault}"
    url = f"https://{key.vault}/keys/{key.kid}/release?api-version={API_VERSION}"
    headers = {"Authorization": f"Bearer {access_token}"}
    try:
        answer = request(subject, "POST", url, headers=headers, document={"target": token}).json(subject)
    except Refused as refusal:
        cause = CAUSES.get(refusal.status)
        raise ReleaseError(
            f"key {key.kid} is not released by {key.vault} ({refusal.status}: {refusal.explanation})"
            + (f"; {cause}" if cause else "")
        ) from None
    statement = answer.get("value")
    if not isinstance(statement, str):
        raise ReleaseError(f"{subject} answered no signed statement")
    return unwrap(verified(statement, key.vault), wrapping_key.private)
