from azure_sandbox.azure.arm.pulling import pull_credentials
from confidential_summarizer.registry import Credential
from tests.support.azure_client import body


async def test_the_password_that_a_group_names_is_used_for_its_registry_and_not_shown(azure):
    entry = {"server": "party1.azurecr.io", "username": "u", "password": "planted"}
    found = pull_credentials(body(imageRegistryCredentials=[entry]), azure.stand_ins.principals, azure.stand_ins.tokens)
    assert await found.credential_for("party1.azurecr.io", "summarizer") == Credential("u", "planted")
    assert await found.credential_for("mcr.microsoft.com", "aci/encfs") is None
    assert "planted" not in repr(found)
