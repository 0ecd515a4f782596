import base64
import json
from pathlib import PurePosixPath

import pytest

from confidential_summarizer.blueprint import sidecar_arguments
from encfs.arguments import ArgumentsError, parse_arguments
from tests.support.resources import resource

PLANTED = "sig=planted-secret"


def entry(**changes):
    fields = {
        "mount_point": "/mnt/remote/contracts",
        "azure_url": f"https://party2.blob.core.windows.net/sealed/contracts.img?{PLANTED}",
        "azure_url_private": True,
        "key": {
            "kid": "contracts-key",
            "kty": "oct-HSM",
            "authority": {"endpoint": "sharedeus2.eus2.attest.azure.net"},
            "akv": {"endpoint": "party2.managedhsm.azure.net", "bearer_token": "planted-token"},
        },
        "key_derivation": {"salt": "00ff", "label": "text"},
    }
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def encoded(document):
    return base64.b64encode(json.dumps(document).encode()).decode()


def parse(**changes):
    (file_system,) = parse_arguments(encoded({"azure_filesystems": [entry(**changes)]})).file_systems
    return file_system


def test_every_field_of_a_file_system_is_read():
    file_system = parse()

    assert file_system.mount_point == PurePosixPath("/mnt/remote/contracts")
    assert file_system.private
    assert not file_system.read_write
    assert (file_system.key.kid, file_system.key.vault) == ("contracts-key", "party2.managedhsm.azure.net")
    assert file_system.key.authority == "sharedeus2.eus2.attest.azure.net"
    assert file_system.key.access_token == "planted-token"
    assert (file_system.salt, file_system.label) == (b"\0\xff", "text")


def test_what_the_operator_writes_is_understood():
    text = sidecar_arguments(resource().spec.file_systems)

    (file_system,) = parse_arguments(text).file_systems

    assert str(file_system.mount_point) == "/mnt/remote/documents"
    assert file_system.key.kid == "contracts-key"
    assert file_system.salt == b""


def test_field_names_in_another_case_and_unknown_fields_are_taken_as_go_takes_them():
    assert parse(azure_url_private=None, Azure_URL_Private=True, cache=5).private


def test_the_identity_is_read():
    document = {"azure_info": {"identity": {"client_id": "id-1"}}, "azure_filesystems": None}

    assert parse_arguments(encoded(document)).client_id == "id-1"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mount_point": None}, r"azure_filesystems\[0\].mount_point"),
        ({"mount_point": "remote"}, "mount_point"),
        ({"azure_url": "http://party2.blob.core.windows.net/x"}, "azure_url is no https"),
        ({"azure_url_private": "true"}, "azure_url_private has the wrong type"),
        ({"key": None}, "key.kid is missing"),
        ({"key": {"kid": ""}, "raw_key": "00" * 32}, "key.kid is missing"),
        ({"key": []}, "key has the wrong type"),
        ({"key_derivation": {"salt": "salt"}}, "salt is not hexadecimal"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(changes, named):
    with pytest.raises(ArgumentsError, match=named):
        parse(**changes)


@pytest.mark.parametrize(
    "text", ["", "e30", "e3_-", "bm8=", base64.urlsafe_b64encode(b'{"a":"\xc3\xbf\xc3\xbf>"}').decode()]
)
def test_anything_but_padded_standard_base64_of_json_is_refused(text):
    with pytest.raises(ArgumentsError, match="EncfsSideCarArgs"):
        parse_arguments(text)


def test_nothing_secret_shows_in_what_is_printed_of_a_file_system():
    file_system = parse()

    shown = f"{file_system!r} {file_system.key!r} {file_system.shown_url}"

    assert "planted" not in shown
    assert file_system.shown_url == "https://party2.blob.core.windows.net/sealed/contracts.img"
