import base64
import json
import math

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import rsa_recover_prime_factors

from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER
from azure_sandbox.encoding import from_base64, integer_to_base64url, to_base64url

HSM = "party2.managedhsm.azure.net"
PREMIUM = "party2.vault.azure.net"
AUTHORITY = "sharedeus2.eus2.attest.azure.net"
CLAIMS = {"x-ms-sevsnpvm-hostdata": "ab" * 32, "x-ms-sevsnpvm-is-debuggable": False, "x-ms-sevsnpvm-vmpl": 0}


def policy(**equals):
    conditions = [{"claim": name, "equals": value} for name, value in (equals or {"x-ms-sevsnpvm-vmpl": "0"}).items()]
    document = {"version": "1.0.0", "anyOf": [{"authority": f"https://{AUTHORITY}", "allOf": conditions}]}
    return {"data": to_base64url(json.dumps(document).encode())}


def oct_key(octets=b"k" * 32, **more):
    return {
        "key": {"kty": "oct-HSM", "k": to_base64url(octets)},
        "hsm": True,
        "attributes": {"exportable": True},
        "release_policy": policy(),
    } | more


def rsa_jwk(key):
    numbers = key.private_numbers()
    public = numbers.public_numbers
    values = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
    values |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {"kty": "RSA"} | {name: integer_to_base64url(value) for name, value in values.items()}


class Caller:
    """One principal's calls to one vault."""

    def __init__(self, azure, who, host=HSM):
        self.azure = azure
        self.host = host
        audience = "https://managedhsm.azure.net" if "managedhsm" in host else "https://vault.azure.net"
        self.token = azure.token(who, audience)

    async def __call__(self, method, path, **options):
        options.setdefault("token", self.token)
        return await self.azure.call(method, self.host, f"{path}?api-version=7.4", **options)


@pytest.fixture
def owner(azure):
    return Caller(azure, OWNER)


@pytest.fixture
def guest(azure):
    return Caller(azure, SUMMARIZER)


@pytest.fixture(scope="module")
def wrapping_key():
    return rsa.generate_private_key(65537, 2048)


def attested(azure, wrapping_key, **claims):
    numbers = wrapping_key.public_key().public_numbers()
    key = {"kty": "RSA", "kid": "w", "key_ops": ["encrypt"], "e": "AQAB", "n": integer_to_base64url(numbers.n)}
    said = CLAIMS | {"x-ms-runtime": {"keys": [key]}} | claims
    return azure.stand_ins.attestation.sign(claims.pop("host", AUTHORITY), said)


def unwrapped(private, jws, digest=hashes.SHA1):
    payload = jwt.decode(jws, options={"verify_signature": False})
    wrapped = json.loads(from_base64(payload["response"]["key"]["key"]["key_hsm"]))
    ciphertext = from_base64(wrapped["ciphertext"])
    aes_key = private.decrypt(ciphertext[:256], padding.OAEP(padding.MGF1(digest()), digest(), None))
    return keywrap.aes_key_unwrap_with_padding(aes_key, ciphertext[256:])


def error(content):
    return content["error"]


async def test_a_call_without_a_token_is_told_where_to_get_one(azure):
    answer, content = await azure.call("GET", HSM, "/keys/k?api-version=7.4")
    assert answer.status == 401
    assert 'resource="https://managedhsm.azure.net"' in answer.headers["WWW-Authenticate"]
    assert 'authorization="https://login.microsoftonline.com/' in answer.headers["WWW-Authenticate"]
    assert error(content)["code"] == "Unauthorized"


async def test_a_token_for_another_service_is_not_taken(azure, owner):
    token = azure.token(OWNER, "https://management.azure.com")
    answer, content = await owner("GET", "/keys/k", token=token)
    assert answer.status == 401
    assert "AKV10022" in error(content)["message"]


async def test_a_token_of_another_signer_is_not_taken(owner):
    token = jwt.encode({"aud": "https://managedhsm.azure.net", "appid": "a", "oid": "o"}, "x" * 32, algorithm="HS256")
    answer, _ = await owner("GET", "/keys/k", token=token)
    assert answer.status == 401


async def test_an_imported_key_shows_no_material(owner):
    answer, content = await owner("PUT", "/keys/k", json=oct_key(b"s" * 32))
    assert answer.status == 200
    assert content["key"]["kty"] == "oct-HSM"
    assert content["attributes"]["exportable"] is True
    assert content["release_policy"]["immutable"] is False
    assert to_base64url(b"s" * 32) not in json.dumps(content)


async def test_an_unknown_key_is_not_found(owner):
    answer, content = await owner("GET", "/keys/none")
    assert (answer.status, error(content)["code"]) == (404, "KeyNotFound")


async def test_versions_are_kept_and_the_newest_is_current(owner):
    _, first = await owner("PUT", "/keys/k", json=oct_key(b"1" * 32))
    _, second = await owner("PUT", "/keys/k", json=oct_key(b"2" * 32))
    _, current = await owner("GET", "/keys/k")
    _, older = await owner("GET", f"/keys/k/{first['key']['kid'].rpartition('/')[2]}")
    _, versions = await owner("GET", "/keys/k/versions")
    assert current["key"]["kid"] == second["key"]["kid"]
    assert older["key"]["kid"] == first["key"]["kid"]
    assert [one["kid"] for one in versions["value"]] == [first["key"]["kid"], second["key"]["kid"]]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"release_policy": None}, "AKV.SKR.1004"),
        ({"attributes": {"exportable": False}}, "AKV.SKR.1005"),
    ],
)
async def test_exportable_and_release_policy_go_together(owner, change, number):
    answer, content = await owner("PUT", "/keys/k", json=oct_key(**change))
    assert answer.status == 400
    assert error(content)["code"] == "BadParameter"
    assert number in error(content)["message"]


async def test_the_exportable_attribute_cannot_change_later(owner):
    await owner("PUT", "/keys/k", json=oct_key())
    _, content = await owner("PATCH", "/keys/k", json={"attributes": {"exportable": False}})
    assert "AKV.SKR.1003" in error(content)["message"]


async def test_an_immutable_policy_cannot_change_and_a_version_has_none_of_its_own(owner):
    _, made = await owner("PUT", "/keys/k", json=oct_key(release_policy=policy() | {"immutable": True}))
    _, content = await owner("PATCH", "/keys/k", json={"release_policy": policy(a="b")})
    assert "AKV.SKR.1020" in error(content)["message"]
    version = made["key"]["kid"].rpartition("/")[2]
    _, content = await owner("PATCH", f"/keys/k/{version}", json={"release_policy": policy(a="b")})
    assert "AKV.SKR.1016" in error(content)["message"]


async def test_an_rsa_key_sent_as_oct_is_too_large(owner):
    _, content = await owner("PUT", "/keys/k", json=oct_key(b"x" * 256))
    assert error(content)["message"] == "k property of oct key is too large, maximum size is 64"


async def test_a_premium_vault_takes_no_oct_key_and_no_exportable_software_key(azure, wrapping_key):
    premium = Caller(azure, OWNER, PREMIUM)
    answer, content = await premium("PUT", "/keys/k", json=oct_key())
    assert (answer.status, error(content)["message"]) == (400, "Invalid kty value: oct-HSM")
    software = oct_key(key=rsa_jwk(wrapping_key), hsm=False)
    _, content = await premium("PUT", "/keys/k", json=software)
    assert "AKV.SKR.1006" in error(content)["message"]
    _, content = await premium("PUT", "/keys/k", json=software | {"hsm": True})
    assert content["key"]["kty"] == "RSA-HSM"


async def test_roles_are_asked_before_the_key_is_looked_for(azure, owner):
    operator, guest = Caller(azure, OPERATOR), Caller(azure, SUMMARIZER)
    for caller, method, path in (
        (owner, "POST", "/keys/k/release"),
        (operator, "PUT", "/keys/k"),
        (operator, "DELETE", "/keys/k"),
        (guest, "GET", "/keys/k"),
    ):
        answer, content = await caller(method, path, json={})
        assert (answer.status, error(content)["code"]) == (403, "Forbidden")
        assert error(content)["innererror"]["code"] == "ForbiddenByRbac"


async def test_a_role_can_be_given_for_one_key(azure):
    operator = azure.stand_ins.principals[OPERATOR]
    assignment = {"object_id": operator.object_id, "role": "Crypto User", "scope": f"{HSM}/keys/mine"}
    answer, _ = await azure.control("PUT", "role-assignments", json={"assignments": [assignment]})
    assert answer.status == 200
    caller = Caller(azure, OPERATOR)
    assert (await caller("PUT", "/keys/mine", json=oct_key()))[0].status == 200
    assert (await caller("PUT", "/keys/other", json=oct_key()))[0].status == 403


async def test_a_deleted_name_is_taken_until_the_key_is_purged(owner):
    await owner("PUT", "/keys/k", json=oct_key())
    _, deleted = await owner("DELETE", "/keys/k")
    assert deleted["recoveryId"] == f"https://{HSM}/deletedkeys/k"
    answer, content = await owner("PUT", "/keys/k", json=oct_key())
    assert (answer.status, error(content)["innererror"]["code"]) == (409, "ObjectIsDeletedButRecoverable")
    assert (await owner("DELETE", "/deletedkeys/k"))[0].status == 204
    assert (await owner("PUT", "/keys/k", json=oct_key()))[0].status == 200


async def test_purge_protection_keeps_a_deleted_key(azure, owner):
    await azure.control("PUT", f"vaults/{HSM}", json={"purgeProtection": True})
    await owner("PUT", "/keys/k", json=oct_key())
    await owner("DELETE", "/keys/k")
    answer, content = await owner("DELETE", "/deletedkeys/k")
    assert answer.status == 403
    assert "purge protection" in error(content)["message"]
    assert (await owner("POST", "/deletedkeys/k/recover"))[0].status == 200


async def test_keys_outlive_the_process_in_a_file_closed_to_others(run_azure, state):
    async with run_azure() as azure:
        await Caller(azure, OWNER)("PUT", "/keys/k", json=oct_key())
    async with run_azure() as azure:
        answer, _ = await Caller(azure, OWNER)("GET", "/keys/k")
        assert answer.status == 200
    assert (state.home / "azure" / "vaults" / f"{HSM}.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        (None, hashes.SHA1),
        ("CKM_RSA_AES_KEY_WRAP", hashes.SHA1),
        ("RSA_AES_KEY_WRAP_256", hashes.SHA256),
        ("RSA_AES_KEY_WRAP_384", hashes.SHA384),
    ],
)
async def test_a_released_key_opens_with_the_attested_wrapping_key(
    azure, owner, guest, wrapping_key, algorithm, digest
):
    await owner("PUT", "/keys/k", json=oct_key(b"m" * 32))
    request = {"target": attested(azure, wrapping_key)} | ({"enc": algorithm} if algorithm else {})
    answer, content = await guest("POST", "/keys/k/release", json=request)
    assert answer.status == 200
    assert unwrapped(wrapping_key, content["value"], digest) == b"m" * 32


async def test_the_address_without_a_version_has_two_slashes(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key())
    answer, _ = await guest("POST", "/keys/k//release", json={"target": attested(azure, wrapping_key)})
    assert answer.status == 200


async def test_the_private_exponent_of_an_rsa_key_keeps_its_bytes(azure, owner, guest, wrapping_key):
    """A key of an older tool has d modulo (p-1)(q-1), not modulo their least common multiple; d feeds a derivation."""
    reference = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = reference.p, reference.q
    larger = reference.d + math.lcm(p - 1, q - 1)
    assert set(rsa_recover_prime_factors(p * q, 65537, larger)) == {p, q}
    jwk = rsa_jwk(reference.private_key()) | {"d": integer_to_base64url(larger)}
    await owner("PUT", "/keys/k", json=oct_key(key=jwk))
    _, content = await guest("POST", "/keys/k/release", json={"target": attested(azure, wrapping_key)})
    released = serialization.load_der_private_key(unwrapped(wrapping_key, content["value"]), None)
    assert released.private_numbers().d == larger


async def test_the_answer_names_the_request_and_is_signed_by_the_host(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key())
    _, content = await guest("POST", "/keys/k/release", json={"target": attested(azure, wrapping_key)})
    header = jwt.get_unverified_header(content["value"])
    payload = jwt.decode(content["value"], options={"verify_signature": False})
    assert payload["request"] == {"api-version": "7.4", "enc": "CKM_RSA_AES_KEY_WRAP", "kid": f"https://{HSM}/keys/k"}
    assert payload["response"]["key"]["key"]["kty"] == "oct-HSM"
    assert payload["response"]["key"]["release_policy"]["data"] == policy()["data"]
    assert len(header["x5c"]) == 2
    assert all(base64.b64decode(one) for one in header["x5c"])


async def test_an_unmet_policy_releases_nothing(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key(release_policy=policy(**{"x-ms-sevsnpvm-hostdata": "cd" * 32})))
    answer, content = await guest("POST", "/keys/k/release", json={"target": attested(azure, wrapping_key)})
    assert (answer.status, error(content)["code"]) == (403, "Forbidden")
    assert "value" not in content


async def test_a_token_of_another_authority_releases_nothing(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key())
    other = azure.stand_ins.attestation.sign("sharedweu.weu.attest.azure.net", CLAIMS)
    answer, _ = await guest("POST", "/keys/k/release", json={"target": other})
    assert answer.status == 403


async def test_a_forged_token_releases_nothing(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key())
    claims = jwt.decode(attested(azure, wrapping_key), options={"verify_signature": False})
    forged = jwt.encode(claims, wrapping_key, algorithm="RS256")
    answer, _ = await guest("POST", "/keys/k/release", json={"target": forged})
    assert answer.status == 403


async def test_a_disabled_key_is_not_released(azure, owner, guest, wrapping_key):
    await owner("PUT", "/keys/k", json=oct_key())
    await owner("PATCH", "/keys/k", json={"attributes": {"enabled": False}})
    answer, content = await guest("POST", "/keys/k/release", json={"target": attested(azure, wrapping_key)})
    assert (answer.status, error(content)["innererror"]["code"]) == (403, "KeyDisabled")


async def test_a_token_without_a_wrapping_key_is_a_bad_request(azure, owner, guest):
    await owner("PUT", "/keys/k", json=oct_key())
    token = azure.stand_ins.attestation.sign(AUTHORITY, CLAIMS)
    answer, _ = await guest("POST", "/keys/k/release", json={"target": token})
    assert answer.status == 400


async def test_new_keys_can_be_made_in_the_vault(owner):
    made = {"kty": "oct-HSM", "key_size": 256, "attributes": {"exportable": True}, "release_policy": policy()}
    answer, content = await owner("POST", "/keys/k/create", json=made)
    assert (answer.status, content["key"]["kty"]) == (200, "oct-HSM")
    answer, _ = await owner("POST", "/keys/e/create", json={"kty": "EC", "crv": "P-384"})
    assert answer.status == 200
    answer, _ = await owner("POST", "/keys/b/create", json={"kty": "RSA", "key_size": 1000})
    assert answer.status == 400
