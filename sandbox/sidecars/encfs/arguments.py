"""`EncfsSideCarArgs`: padded standard base64 of a JSON document.

As the real sidecar's reader (Go's encoding/json), this one ignores unknown fields and the case of field names.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from attested_release.encoding import from_standard_base64
from attested_release.release import KeyReference

VARIABLE = "EncfsSideCarArgs"


class ArgumentsError(Exception):
    """The arguments cannot be used; the message names the field, never its value."""


@dataclass(frozen=True)
class FileSystem:
    """One entry of `azure_filesystems`.

    Attributes:
        mount_point: Where the link to the opened file system appears.
        url: The sealed image; it may hold a shared access signature.
        private: Whether the blob is read with the identity's token.
        read_write: Whether the opened file system can be changed.
        key: Which key opens it.
        salt: For keys that are derived.
        label: For keys that are derived.
    """

    mount_point: PurePosixPath
    url: str
    private: bool
    read_write: bool
    key: KeyReference
    salt: bytes
    label: str

    def __repr__(self) -> str:
        return f"FileSystem({self.mount_point})"

    @property
    def shown_url(self) -> str:
        """The URL without what may be a secret."""
        return urlunsplit(urlsplit(self.url)._replace(query="", fragment=""))


@dataclass(frozen=True)
class Arguments:
    """What the sidecar is to do: open these, as this identity (its client id, or empty for the only one)."""

    file_systems: tuple[FileSystem, ...]
    client_id: str


def parse_arguments(text: str) -> Arguments:
    """Read the value of `EncfsSideCarArgs`.

    Raises:
        ArgumentsError: It is not base64 of such a document.
    """
    if not text:
        raise ArgumentsError(f"{VARIABLE} is not set")
    try:
        document = json.loads(from_standard_base64(text))
    except ValueError:
        raise ArgumentsError(f"{VARIABLE} is not padded standard base64 of a JSON document") from None
    fields = _Fields(document, VARIABLE)
    entries = fields.list("azure_filesystems")
    client_id = fields.object("azure_info").object("identity").text("client_id")
    return Arguments(tuple(_file_system(entry) for entry in entries), client_id)


def _file_system(fields: "_Fields") -> FileSystem:
    key, derivation = fields.object("key"), fields.object("key_derivation")
    mount_point = PurePosixPath(fields.text("mount_point"))
    if not mount_point.is_absolute() or mount_point == PurePosixPath("/"):
        raise ArgumentsError(f"{fields.name}.mount_point is no absolute path below /")
    if urlsplit(fields.text("azure_url")).scheme != "https":
        raise ArgumentsError(f"{fields.name}.azure_url is no https URL")
    if not key.text("kid"):
        # The real image does not honour raw_key and hands cryptsetup no key at all.
        raise ArgumentsError(f"{fields.name}.key.kid is missing: only released keys open file systems")
    try:
        salt = bytes.fromhex(derivation.text("salt"))
    except ValueError:
        raise ArgumentsError(f"{fields.name}.key_derivation.salt is not hexadecimal") from None
    return FileSystem(
        mount_point=mount_point,
        url=fields.text("azure_url"),
        private=fields.flag("azure_url_private"),
        read_write=fields.flag("read_write"),
        key=KeyReference(
            kid=key.text("kid"),
            vault=key.object("akv").text("endpoint"),
            authority=key.object("authority").text("endpoint"),
            access_token=key.object("akv").text("bearer_token"),
        ),
        salt=salt,
        label=derivation.text("label"),
    )


class _Fields:
    """A JSON object read as Go reads one: names in any case, missing or null means empty, a wrong type is an error."""

    def __init__(self, document: object, name: str) -> None:
        if not isinstance(document, dict):
            raise ArgumentsError(f"{name} is no JSON object")
        self.name = name
        self._values = {key.lower(): value for key, value in document.items()}

    def text(self, field: str) -> str:
        value: str = self._value(field, str, "")
        return value

    def flag(self, field: str) -> bool:
        value: bool = self._value(field, bool, False)
        return value

    def object(self, field: str) -> "_Fields":
        return _Fields(self._value(field, dict, {}), f"{self.name}.{field}")

    def list(self, field: str) -> "list[_Fields]":
        entries = self._value(field, list, [])
        return [_Fields(entry, f"{self.name}.{field}[{index}]") for index, entry in enumerate(entries)]

    def _value(self, field: str, kind: type[Any], empty: Any) -> Any:
        value = self._values.get(field)
        if value is None:
            return empty
        if not isinstance(value, kind):
            raise ArgumentsError(f"{self.name}.{field} has the wrong type")
        return value
