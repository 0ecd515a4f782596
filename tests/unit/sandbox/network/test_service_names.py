import pytest

from azure_sandbox import names
from azure_sandbox.network.names import exists


@pytest.mark.parametrize(
    "host",
    [
        names.REGISTRY,
        "mcr.microsoft.com",
        names.BLOB_HOST,
        names.LOGIN,
        names.RESOURCE_MANAGER,
        names.VAULT,
        "party2.vault.azure.net",
        names.ATTESTATION,
        "PARTY1.AzureCR.io.",
    ],
)
def test_every_name_of_the_sandbox_exists(host):
    assert exists(host)


@pytest.mark.parametrize(
    "host", ["example.org", "party3.azurecr.io", "notazurecr.io", "azurecr.io.example.org", "", ".", "169.254.169.254"]
)
def test_no_other_name_does(host):
    assert not exists(host)
