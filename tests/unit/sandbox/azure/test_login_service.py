import time

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer

from azure_sandbox.attester import Attester
from azure_sandbox.azure.metadata import metadata_application
from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, FederatedCredential, Principals
from azure_sandbox.names import TENANT

LOGIN = "login.microsoftonline.com"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def sign_in(azure, **form):
    tenant = form.pop("tenant", TENANT)
    whole = {"grant_type": "client_credentials", "scope": "https://vault.azure.net/.default"} | form
    return await azure.call("POST", LOGIN, f"/{tenant}/oauth2/v2.0/token", data=whole)


def service_account_token(**changes):
    claims = {"iss": "https://issuer", "sub": "system:serviceaccount:a:b", "aud": "api://AzureADTokenExchange"}
    return jwt.encode(claims | {"exp": int(time.time()) + 60} | changes, "k" * 32, algorithm="HS256")


async def test_an_application_gets_a_token_for_what_it_asked(azure):
    owner = azure.stand_ins.principals[OWNER]
    answer, content = await sign_in(azure, client_id=owner.client_id, client_secret=owner.secret)
    assert answer.status == 200
    _, keys = await azure.call("GET", LOGIN, f"/{TENANT}/discovery/v2.0/keys")
    claims = jwt.decode(
        content["access_token"],
        jwt.PyJWK(keys["keys"][0]),
        algorithms=["RS256"],
        audience="https://vault.azure.net",
        issuer=f"https://sts.windows.net/{TENANT}/",
    )
    assert (claims["appid"], claims["oid"], claims["tid"]) == (owner.client_id, owner.object_id, TENANT)


@pytest.mark.parametrize(
    ("form", "status", "number"),
    [
        ({"client_secret": "wrong"}, 401, 7000215),
        ({"client_id": "99999999-9999-9999-9999-999999999999", "client_secret": "x"}, 400, 700016),
        ({"tenant": "22222222-2222-2222-2222-222222222222"}, 400, 90002),
        ({"grant_type": "password"}, 400, 70003),
        ({"client_assertion": "no token", "client_assertion_type": ASSERTION}, 401, 50027),
    ],
)
async def test_a_refusal_has_the_services_number(azure, form, status, number):
    answer, content = await sign_in(azure, **({"client_id": azure.stand_ins.principals[OWNER].client_id} | form))
    assert (answer.status, content["error_codes"]) == (status, [number])
    assert content["error_description"].startswith(f"AADSTS{number}: ")


async def test_a_managed_identity_cannot_sign_in_with_a_secret(azure):
    client_id = azure.stand_ins.principals[SUMMARIZER].client_id
    answer, _ = await sign_in(azure, client_id=client_id, client_secret="")
    assert answer.status == 401


async def test_an_assertion_has_to_be_for_the_exchange_and_in_time(azure):
    client_id = azure.stand_ins.principals[OPERATOR].client_id
    for token, status in (
        (service_account_token(), 200),
        (service_account_token(aud="https://kubernetes"), 401),
        (service_account_token(exp=int(time.time()) - 60), 401),
    ):
        form = {"client_assertion": token, "client_assertion_type": ASSERTION}
        answer, _ = await sign_in(azure, client_id=client_id, **form)
        assert answer.status == status


async def test_a_federated_credential_narrows_who_may_assert(azure):
    principals = azure.stand_ins.principals
    principals.federate(OPERATOR, (FederatedCredential("https://issuer", "system:serviceaccount:csum:operator"),))
    client_id = principals[OPERATOR].client_id
    for subject, status in (("system:serviceaccount:csum:operator", 200), ("system:serviceaccount:a:b", 401)):
        form = {"client_assertion": service_account_token(sub=subject), "client_assertion_type": ASSERTION}
        answer, _ = await sign_in(azure, client_id=client_id, **form)
        assert answer.status == status


def test_principals_are_the_same_when_they_are_read_again(tmp_path):
    first = Principals(tmp_path / "principals.json")
    first.federate(OPERATOR, (FederatedCredential("https://issuer", "subject"),))
    again = Principals(tmp_path / "principals.json")
    assert list(again) == list(first)
    assert (tmp_path / "principals.json").stat().st_mode & 0o777 == 0o600
    assert first[OWNER].secret not in repr(first[OWNER])


async def test_discovery_leads_to_the_token_endpoint(azure):
    _, configuration = await azure.call("GET", LOGIN, f"/{TENANT}/v2.0/.well-known/openid-configuration")
    assert configuration["token_endpoint"] == f"https://{LOGIN}/{TENANT}/oauth2/v2.0/token"
    _, instance = await azure.call("GET", LOGIN, "/common/discovery/instance?api-version=1.1")
    assert instance["metadata"][0]["aliases"] == [LOGIN]


@pytest.fixture
async def metadata(azure, state):
    held = []
    attester = Attester(state.home / "azure" / "attester")
    application = metadata_application(lambda: held, azure.stand_ins.tokens, attester.host_amd_cert_base64)
    async with TestClient(TestServer(application)) as client:
        client.held = held
        yield client


async def ask(metadata, headers=None, **query):
    query = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"} | query
    headers = {"Metadata": "true"} if headers is None else headers
    answer = await metadata.get("/metadata/identity/oauth2/token", params=query, headers=headers)
    return answer.status, await answer.json()


async def test_a_groups_identity_gets_a_token_whose_values_are_all_text(azure, metadata):
    identity = azure.stand_ins.principals[SUMMARIZER]
    metadata.held.append(identity)
    status, content = await ask(metadata)
    assert status == 200
    assert all(isinstance(value, str) for value in content.values())
    claims = jwt.decode(content["access_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["appid"]) == ("https://vault.azure.net", identity.client_id)


async def test_one_of_several_identities_has_to_be_named(azure, metadata):
    principals = azure.stand_ins.principals
    one, other = principals[SUMMARIZER], principals.add_identity("/subscriptions/s/other")
    metadata.held.extend([one, other])
    assert (await ask(metadata))[0] == 400
    for query in ({"client_id": other.client_id}, {"object_id": other.object_id}, {"msi_res_id": other.resource_id}):
        status, content = await ask(metadata, **query)
        assert (status, content["client_id"]) == (200, other.client_id)


async def test_a_group_without_identity_has_no_token(metadata):
    assert await ask(metadata) == (400, {"error": "invalid_request", "error_description": "Identity not found"})


async def test_the_metadata_header_is_asked_for(metadata):
    status, content = await ask(metadata, headers={})
    assert (status, content["error_description"]) == (400, "Required metadata header not specified")


async def test_the_certificates_of_the_chip_are_served(metadata):
    answer = await metadata.get("/metadata/THIM/amd/certification", headers={"Metadata": "true"})
    content = await answer.json()
    assert set(content) == {"vcekCert", "tcbm", "certificateChain", "cacheControl"}
    assert content["tcbm"] == "DB18000000000004"
    assert answer.status == 200
