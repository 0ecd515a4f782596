"""What a group's page answers when it is asked for evidence."""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from confidential_summarizer.errors import IntegrityError

NONCE_BYTES = 32
"""As many as SHA-256 gives: nobody meets an old nonce again."""

NONCE_FIELD = "nonce"
"""Field of the runtime data that holds the nonce."""

PEER_FIELD = "tlsSPKI"
"""Field of the runtime data that names the key of the group's TLS: SHA-256 of its SubjectPublicKeyInfo, hexadecimal."""


def new_nonce() -> str:
    """Return a fresh nonce, base64url without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(NONCE_BYTES)).rstrip(b"=").decode()


@dataclass(frozen=True)
class Evidence:
    """Evidence as the page gave it; nothing in it is believed before it was checked.

    Attributes:
        token: The attestation service's JWT.
        runtime_data: The exact bytes whose SHA-256 the processor put into its report: JSON with the nonce
            and the key of the channel.
    """

    token: str
    runtime_data: bytes

    @classmethod
    def parse(cls, document: object) -> Self:
        """Read the answer of `GET /api/evidence?nonce=…`: `{"token": JWT, "runtimeData": base64}`.

        Raises:
            IntegrityError: It is of another form.
        """
        if not isinstance(document, Mapping) or not isinstance(document.get("token"), str):
            raise IntegrityError("The group's evidence holds no token. Is the URL that of a summarizer's page?")
        try:
            runtime_data = base64.b64decode(str(document.get("runtimeData", "")), validate=True)
        except binascii.Error:
            raise IntegrityError("The group's evidence holds runtime data that are not base64.") from None
        return cls(token=document["token"], runtime_data=runtime_data)

    def to_document(self) -> dict[str, str]:
        """Return the JSON object that `parse` reads, for an evidence file."""
        return {"token": self.token, "runtimeData": base64.b64encode(self.runtime_data).decode()}

    @property
    def nonce(self) -> str | None:
        """The nonce in the runtime data, None where there is none."""
        return self._field(NONCE_FIELD)

    @property
    def peer(self) -> str | None:
        """The key of the group's TLS as the runtime data name it, None where they do not."""
        return self._field(PEER_FIELD)

    def _field(self, name: str) -> str | None:
        try:
            document: Any = json.loads(self.runtime_data)
        except (ValueError, RecursionError):
            return None
        value = document.get(name) if isinstance(document, dict) else None
        return value if isinstance(value, str) and value.isascii() else None
