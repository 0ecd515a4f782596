"""Whom a container runs as, by its image's own user database."""

import pytest

from azure_sandbox.guest.api import ImagePullFailed
from azure_sandbox.guest.users import resolve_user

PASSWD = "root:x:0:0::/:\napp:x:1000:1001::/:\nbroken\nodd:x:a:b::/:\napp:x:5:5::/:\n"
GROUP = "root:x:0:\nstaff:x:1001:\nother:x:1002:\n"


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [
        ("", ("0", "root"), ("0", "root")),
        (":", ("0", "root"), ("0", "root")),
        ("app", ("1000", "app"), ("1001", "staff")),
        ("1000", ("1000", "app"), ("1001", "staff")),
        ("1000:", ("1000", "app"), ("1001", "staff")),
        ("app:other", ("1000", "app"), ("1002", "other")),
        ("app:77", ("1000", "app"), ("77", "")),
        ("4242", ("4242", ""), ("0", "root")),
    ],
)
def test_names_and_numbers_are_resolved(text: str, user: tuple[str, str], group: tuple[str, str]) -> None:
    found = resolve_user(text, PASSWD, GROUP)
    assert (found.user.id, found.user.name) == user
    assert (found.group.id, found.group.name) == group


@pytest.mark.parametrize("text", ["nobody", "app:nogroup", "odd"])
def test_a_name_that_the_image_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(ImagePullFailed, match="the image has no"):
        resolve_user(text, PASSWD, GROUP)


def test_numbers_need_no_database() -> None:
    found = resolve_user("7:8", "", "")
    assert (found.user.id, found.group.id) == ("7", "8")
