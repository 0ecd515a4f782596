"""Whom a container runs as, by its image's own user database (passwd(5), group(5))."""

from collections.abc import Mapping
from dataclasses import dataclass

from azure_sandbox.guest.api import ImagePullFailed


@dataclass(frozen=True)
class Identity:
    """A user or group: its number and its name, both as text."""

    id: str
    name: str = ""


@dataclass(frozen=True)
class User:
    """A user with its primary group, as the policy compares them."""

    user: Identity
    group: Identity


def resolve_user(text: str, passwd: str, group: str) -> User:
    """Resolve `user` or `user:group`, each a name or a number; empty is root.

    Args:
        text: What the image or the container asks for.
        passwd: The image's /etc/passwd.
        group: Its /etc/group.

    Raises:
        ImagePullFailed: A name is not in the image.
    """
    user_text, _, group_text = text.partition(":")
    users, groups = _entries(passwd, 4), _entries(group, 3)
    user, gid = _user(user_text or "0", users)
    if group_text:
        gid = group_text if group_text.isdigit() else _required(groups, group_text, "group")[2]
    name = next((entry[0] for entry in groups.values() if entry[2] == gid), "")
    return User(user, Identity(gid, name))


def _user(text: str, users: Mapping[str, list[str]]) -> tuple[Identity, str]:
    if not text.isdigit():
        entry = _required(users, text, "user")
        return Identity(entry[2], entry[0]), entry[3]
    found = next((entry for entry in users.values() if entry[2] == text), None)
    return (Identity(text, found[0]), found[3]) if found else (Identity(text), "0")


def _required(known: Mapping[str, list[str]], name: str, what: str) -> list[str]:
    if name not in known:
        raise ImagePullFailed(f"the image has no {what} {name!r}: name one that is in its /etc, or give its number")
    return known[name]


def _entries(database: str, fields: int) -> dict[str, list[str]]:
    """The entries by name, the first of each; lines whose numbers are none are no entries."""
    entries: dict[str, list[str]] = {}
    for line in database.splitlines():
        entry = line.split(":")
        if len(entry) >= fields and all(number.isdigit() for number in entry[2:fields]):
            entries.setdefault(entry[0], entry)
    return entries
