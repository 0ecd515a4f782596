import pytest

from azure_sandbox import names
from azure_sandbox.network.names import service_of
from azure_sandbox.state import SERVICES


@pytest.mark.parametrize(
    ("host", "service"),
    [
        (names.REGISTRY, "registry"),
        ("mcr.microsoft.com", "registry"),
        (names.BLOB_HOST, "azurite"),
        (names.LOGIN, "stand_ins"),
        (names.RESOURCE_MANAGER, "stand_ins"),
        (names.VAULT, "stand_ins"),
        ("party2.vault.azure.net", "stand_ins"),
        (names.ATTESTATION, "stand_ins"),
        ("PARTY1.AzureCR.io.", "registry"),
    ],
)
def test_every_name_of_the_sandbox_has_a_service_with_a_port(host, service):
    assert service_of(host) == service
    assert service in SERVICES


@pytest.mark.parametrize("host", ["example.org", "notazurecr.io", "azurecr.io.example.org", "", ".", "169.254.169.254"])
def test_any_other_name_has_none(host):
    assert service_of(host) is None
