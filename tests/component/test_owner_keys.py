"""`csum key` against the sandbox's vaults: real SDKs, real TLS, the proxy; and what a group gets after it."""

import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from azure_sandbox.azure.principals import OPERATOR, OWNER
from azure_sandbox.names import ATTESTATION, MODELS_KEY, VAULT
from confidential_summarizer.azure.credentials import credential
from confidential_summarizer.azure.keys import KeyVault
from confidential_summarizer.azure.vault import amend_release_policy
from confidential_summarizer.errors import AccessDenied, SummarizerError
from confidential_summarizer.release import build
from confidential_summarizer.sealing import create_key_file
from tests.support.data_owner import SmallAzure, csum

PREMIUM = "party2.vault.azure.net"
OLD, NEW = "a1" * 32, "b2" * 32
BOUND = ("--attestation", ATTESTATION)


@pytest.fixture(scope="module")
def azure():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        yield azure


@pytest.fixture(autouse=True)
def environment(azure, monkeypatch, tmp_path):
    become(azure, monkeypatch, OWNER)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # aiohttp reads SSL_CERT_FILE when it is imported; a process of its own has it before that
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


def become(azure, monkeypatch, who):
    for name, value in azure.environment(who).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def key_file(tmp_path):
    create_key_file(tmp_path / "key", os.urandom(32))
    return tmp_path / "key"


def imported(name, key_file, *hashes, vault=VAULT):
    options = [option for value in hashes for option in ("--host-data", value)]
    result = csum("key", "import", name, "--vault", vault, "--key", key_file, *BOUND, *options, "-o", "json")
    assert result.code == 0, result.err
    return result.data


def approved(name):
    return csum("key", "show", name, "--vault", VAULT, "-o", "json").data["hostData"]


def released(azure, name, host_data, vault=VAULT, **how):
    return asyncio.run(azure.release(vault, name, host_data, **how))


async def with_vault(work, host=VAULT):
    async with credential() as identity, KeyVault(host, identity) as vault:
        return await work(vault)


async def set_purge_protection(on):
    async with aiohttp.ClientSession(trust_env=True) as session:
        url = f"https://management.azure.com/sandbox/vaults/{VAULT}"
        async with session.put(url, json={"purgeProtection": on}) as answer:
            assert answer.status == 200


def test_an_imported_key_is_let_out_to_the_approved_group_only(azure, key_file):
    found = imported("bound", key_file, OLD)

    assert (found["kty"], found["hostData"], found["exportable"], found["immutable"]) == ("oct-HSM", [OLD], True, False)
    assert released(azure, "bound", OLD) == key_file.read_bytes()
    assert released(azure, "bound", NEW) == 403
    assert released(azure, "bound", OLD, debug=True) == 403


def test_a_rotation_keeps_the_old_hash_working_until_it_is_revoked(azure, key_file):
    imported("rotating", key_file, OLD)
    name = ("rotating", "--vault", VAULT)

    result = csum("key", "approve", "--name", "rotating", "--vault", VAULT, "--host-data", NEW, "-o", "json")
    assert (result.code, result.data["changed"], result.data["hostData"]) == (0, True, [OLD, NEW])
    assert "+ host-data b2b2" in result.err
    assert [released(azure, "rotating", value) == key_file.read_bytes() for value in (OLD, NEW)] == [True, True]

    assert csum("key", "revoke", *name, "--host-data", OLD).code == 0
    assert approved("rotating") == [NEW]
    assert released(azure, "rotating", OLD) == 403
    assert released(azure, "rotating", NEW) == key_file.read_bytes()


def test_an_interrupted_rotation_can_be_repeated(azure, key_file):
    """The operator dies after it added the new hash: doing all again ends in the same policy."""
    imported("interrupted", key_file, OLD)
    for _ in range(2):
        result = csum("key", "approve", "--name", "interrupted", "--vault", VAULT, "--host-data", NEW, "-o", "json")
        assert result.code == 0
    assert result.data["changed"] is False
    assert approved("interrupted") == [OLD, NEW]


def test_revoking_the_last_hash_lets_the_key_out_to_nobody(azure, key_file):
    imported("last", key_file, OLD)

    assert csum("key", "revoke", "last", "--vault", VAULT, "--host-data", OLD).code == 0

    assert released(azure, "last", OLD) == 403
    assert csum("key", "approve", "--name", "last", "--vault", VAULT, "--host-data", OLD).code == 0
    assert released(azure, "last", OLD) == key_file.read_bytes()


def test_a_premium_vault_takes_an_rsa_key_from_which_the_sealing_key_is_derived(azure, tmp_path):
    made = csum("key", "new", tmp_path / "derived", "--kty", "RSA-HSM", "-o", "json").data
    result = csum(
        "key", "import", "rsa", "--kty", "RSA-HSM", "--vault", PREMIUM, "--key", made["rsaKey"], *BOUND,
        "--host-data", OLD, "-o", "json",
    )  # fmt: skip
    assert (result.code, result.data["kty"]) == (0, "RSA-HSM"), result.err

    exponent = released(azure, "rsa", OLD, PREMIUM)

    salt, label = bytes.fromhex(made["derivation"]["salt"]), made["derivation"]["label"].encode()
    assert HKDF(SHA256(), 32, salt, label).derive(exponent) == (tmp_path / "derived").read_bytes()


def test_a_premium_vault_refuses_a_symmetric_key_and_says_what_to_do(key_file):
    result = csum("key", "import", "k", "--vault", PREMIUM, "--key", key_file, *BOUND, "--host-data", OLD)

    assert result.code == 3
    assert "RSA-HSM" in result.err


def test_an_immutable_policy_has_to_be_asked_for_twice_and_then_holds(azure, key_file):
    arguments = ("key", "import", "forever", "--vault", VAULT, "--key", key_file, *BOUND, "--host-data", OLD)
    assert csum(*arguments, "--immutable").code == 2
    assert csum(*arguments, "--immutable", "--yes-forever").code == 0

    result = csum("key", "approve", "--name", "forever", "--vault", VAULT, "--host-data", NEW)

    assert result.code == 3
    assert "immutable" in result.err

    async def insist(vault):
        await vault.update_release_policy("forever", build([NEW], [ATTESTATION]))

    with pytest.raises(SummarizerError, match=r"AKV\.SKR\.1020"):
        asyncio.run(with_vault(insist))


def test_a_missing_key_is_named(azure):
    for command in (
        ("key", "show", "none", "--vault", VAULT),
        ("key", "revoke", "none", "--vault", VAULT, "--host-data", OLD),
        ("key", "approve", "--name", "none", "--vault", VAULT, "--host-data", OLD),
    ):
        result = csum(*command)
        assert result.code == 4
        assert "no such key" in result.err


def test_a_deleted_key_is_reported_recovered_and_in_the_end_purged(azure, key_file):
    imported("mortal", key_file, OLD)
    asyncio.run(with_vault(lambda vault: vault.delete("mortal")))

    assert csum("key", "show", "mortal", "--vault", VAULT, "-o", "json").data["deleted"] is True
    again = csum("key", "import", "mortal", "--vault", VAULT, "--key", key_file, *BOUND, "--host-data", OLD)
    assert again.code == 4
    assert "recover" in again.err

    assert csum("key", "recover", "mortal", "--vault", VAULT).code == 0
    assert released(azure, "mortal", OLD) == key_file.read_bytes()

    async def destroy(vault):
        await vault.delete("mortal")
        await vault.delete("mortal")
        await vault.purge("mortal")
        return await vault.get("mortal")

    assert asyncio.run(with_vault(destroy)) is None


def test_purge_protection_is_explained(key_file):
    imported("protected", key_file, OLD)
    asyncio.run(set_purge_protection(True))
    try:

        async def destroy(vault):
            await vault.delete("protected")
            await vault.purge("protected")

        with pytest.raises(SummarizerError, match="purge protection keeps deleted keys"):
            asyncio.run(with_vault(destroy))
    finally:
        asyncio.run(set_purge_protection(False))


def test_a_disabled_key_lets_nothing_out(azure, key_file):
    imported("idle", key_file, OLD)
    asyncio.run(with_vault(lambda vault: vault.disable("idle")))
    assert released(azure, "idle", OLD) == 403
    assert csum("key", "show", "idle", "--vault", VAULT, "-o", "json").data["enabled"] is False


def test_an_identity_without_the_role_is_told_which_one_it_lacks(azure, monkeypatch, key_file):
    become(azure, monkeypatch, OPERATOR)

    async def destroy(vault):
        await vault.delete("whatever")

    with pytest.raises(AccessDenied, match="Crypto"):
        asyncio.run(with_vault(destroy))


def test_the_operator_amends_the_keys_it_may_manage_and_no_others(azure, monkeypatch, key_file):
    for name in (MODELS_KEY, "private"):
        imported(name, key_file, OLD)
    become(azure, monkeypatch, OPERATOR)
    wanted = build([OLD, NEW], [ATTESTATION])

    before, after = asyncio.run(with_vault(lambda vault: amend_release_policy(vault, MODELS_KEY, lambda _: wanted)))

    assert (before.host_data, after.host_data) == ((OLD,), (OLD, NEW))
    with pytest.raises(AccessDenied, match="Managed HSM Crypto User"):
        asyncio.run(with_vault(lambda vault: amend_release_policy(vault, "private", lambda _: wanted)))


def test_an_unknown_vault_cannot_be_reached(key_file, monkeypatch):
    monkeypatch.setattr("confidential_summarizer.cli.key.vault.RETRIES", 0)

    result = csum("key", "show", "k", "--vault", "nobody.vault.usgovcloudapi.net")

    assert result.code == 5
    assert "cannot be reached" in result.err


def test_a_process_needs_nothing_but_two_variables_and_its_identity(azure, key_file):
    """No endpoint is configured anywhere: HTTPS_PROXY and SSL_CERT_FILE lead every request to the sandbox."""
    imported("plain", key_file, OLD)
    environment = {"PATH": os.environ["PATH"], "HOME": str(key_file.parent), **azure.environment()}

    program = [sys.executable, "-c", "from confidential_summarizer.cli import main; main()"]
    command = [*program, "key", "show", "plain", "--vault", VAULT, "-o", "json"]

    shown = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert OLD.encode() in shown.stdout

    del environment["SSL_CERT_FILE"]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode in (4, 5)


def test_tags_of_a_key_travel_both_ways_and_outlive_a_change_of_its_policy():
    async def work(vault):
        await vault.import_key("tagged", os.urandom(32), build([OLD], [ATTESTATION]), tags={"csum-owner-1": "legal/a"})
        await amend_release_policy(vault, "tagged", lambda policy: build([OLD, NEW], [ATTESTATION]))
        kept = (await vault.get("tagged")).tags
        await amend_release_policy(vault, "tagged", lambda policy: policy, tags={"csum-owner-2": "legal/b"})
        return kept, (await vault.get("tagged")).tags

    assert asyncio.run(with_vault(work)) == ({"csum-owner-1": "legal/a"}, {"csum-owner-2": "legal/b"})


def test_key_material_is_rotated_under_a_new_name_while_old_groups_go_on(azure, key_file, tmp_path):
    imported("rotated", key_file, OLD)
    again = csum("key", "import", "rotated", "--vault", VAULT, "--key", key_file, *BOUND, "--host-data", NEW)
    assert again.code == 1
    assert "replaces its material" in again.err
    create_key_file(tmp_path / "key-2", os.urandom(32))

    imported("rotated-2", tmp_path / "key-2", NEW)

    assert released(azure, "rotated", OLD) == key_file.read_bytes()
    assert released(azure, "rotated-2", NEW) == (tmp_path / "key-2").read_bytes()
    assert csum("key", "revoke", "rotated", "--vault", VAULT, "--host-data", OLD).code == 0
    assert released(azure, "rotated", OLD) == 403


def test_a_key_is_replaced_under_its_name_only_when_asked(azure, key_file, tmp_path):
    imported("replaced", key_file, OLD)
    create_key_file(tmp_path / "key-2", os.urandom(32))
    arguments = ("key", "import", "replaced", "--vault", VAULT, "--key", tmp_path / "key-2", *BOUND)

    result = csum(*arguments, "--host-data", NEW, "--new-version")

    assert (result.code, OLD[:12] in result.err) == (0, True)
    assert released(azure, "replaced", OLD) == 403
    assert released(azure, "replaced", NEW) == (tmp_path / "key-2").read_bytes()
