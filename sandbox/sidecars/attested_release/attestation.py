"""From a report to a signed token: the attestation service's `POST /attest/SevSnpVM`, api-version 2020-10-01."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from attested_release.encoding import integer_to_base64url, to_base64url, to_padded_base64url
from attested_release.errors import ReleaseError
from attested_release.guest import Guest
from attested_release.http import request

API_VERSION = "2020-10-01"
KEY_BITS = 2048
PUBLIC_EXPONENT = 65537


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS)


@dataclass(frozen=True)
class WrappingKey:
    """A fresh RSA key; the vault wraps what it releases to the half that the report vouches for."""

    private: rsa.RSAPrivateKey = field(default_factory=_new_key, repr=False)

    @property
    def runtime_data(self) -> bytes:
        """The public half as compact JSON (a JWK set); these exact bytes are hashed into the report."""
        numbers = self.private.public_key().public_numbers()
        public = {"e": integer_to_base64url(numbers.e), "kty": "RSA", "n": integer_to_base64url(numbers.n)}
        thumbprint = to_base64url(hashlib.sha256(_compact(public)).digest())  # RFC 7638
        return _compact({"keys": [{**public, "key_ops": ["encrypt"], "kid": thumbprint}]})


def attest(guest: Guest, authority: str, runtime_data: bytes, user_agent: str = "") -> str:
    """Return the attestation service's token for this guest.

    Args:
        guest: Who is attested.
        authority: Host name of the service.
        runtime_data: A JSON document; it becomes the token's `x-ms-runtime`.
        user_agent: Sent as `User-Agent`, if not empty.

    Raises:
        ReleaseError: The service does not believe the evidence, or the guest has none.
        Unreachable: The service does not answer.
    """
    evidence = {
        "SnpReport": to_padded_base64url(guest.report(runtime_data)),
        "VcekCertChain": to_padded_base64url(guest.context.certificates),
    }
    if guest.context.reference_info:
        endorsements = {"Uvm": [to_padded_base64url(guest.context.reference_info)]}
        evidence["Endorsements"] = to_padded_base64url(_compact(endorsements))
    body = {
        "report": to_padded_base64url(_compact(evidence)),
        "runtimeData": {"data": to_padded_base64url(runtime_data), "dataType": "JSON"},
        "initTimeData": {"data": "", "dataType": ""},  # the real sidecars send no policy: tokens would grow too large
        "nonce": secrets.randbits(64),
    }
    subject = f"the attestation service {authority}"
    url = f"https://{authority}/attest/SevSnpVM?api-version={API_VERSION}"
    headers = {"User-Agent": user_agent} if user_agent else {}
    token = request(subject, "POST", url, headers=headers, document=body).json(subject).get("token")
    if not isinstance(token, str) or not token:
        raise ReleaseError(f"{subject} gave an empty token")
    return token


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
