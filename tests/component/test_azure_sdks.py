"""Unmodified Azure SDKs against the stand-ins' process, with nothing set but HTTPS_PROXY and SSL_CERT_FILE."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import web
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
from azure.keyvault.keys import JsonWebKey, KeyReleasePolicy
from azure.keyvault.keys.aio import KeyClient
from azure.mgmt.containerinstance.aio import ContainerInstanceManagementClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from azure_sandbox.attester import Attester
from azure_sandbox.azure.principals import OPERATOR, OWNER, SUMMARIZER, Principals
from azure_sandbox.faults import Faults
from azure_sandbox.names import ATTESTATION, MODELS_KEY, RESOURCE_GROUP, SUBSCRIPTION, TENANT, VAULT
from azure_sandbox.network.switchboard import Switchboard
from azure_sandbox.state import SandboxState

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
POLICY = b"package policy\n"


class Sandbox:
    """The process and what its clients need to know."""

    def __init__(self, home, *command):
        self.state = SandboxState(home)
        self.state.prepare()
        self.command = command
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-m", *self.command], cwd=ROOT)
        deadline = time.monotonic() + START_SECONDS
        while not all(map(self.listens, ("proxy", "stand_ins"))):
            assert self.process.poll() is None, "the process ended"
            assert time.monotonic() < deadline, "the process does not listen"
            time.sleep(0.1)

    def listens(self, service):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.state.port(service))) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    @property
    def principals(self):
        return Principals(self.state.home / "azure" / "principals.json")

    def secret_credential(self, name):
        principal = self.principals[name]
        return ClientSecretCredential(TENANT, principal.client_id, principal.secret)


@pytest.fixture(scope="module")
def sandbox():
    with tempfile.TemporaryDirectory(prefix="csum-") as home:  # short: unix sockets lie below it
        sandbox = Sandbox(Path(home), "tests.support.stand_ins_process", home)
        sandbox.start()
        yield sandbox
        sandbox.stop()


@pytest.fixture(autouse=True)
def environment(sandbox, monkeypatch):
    for name, value in sandbox.state.client_environment().items():
        monkeypatch.setenv(name, value)
    # aiohttp reads SSL_CERT_FILE when it is imported; a client's process has the variable before that, this one has not
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


@contextlib.asynccontextmanager
async def keys(sandbox, who, host=VAULT):
    async with sandbox.secret_credential(who) as credential, KeyClient(f"https://{host}", credential) as client:
        yield client


@contextlib.asynccontextmanager
async def containers(sandbox):
    async with (
        sandbox.secret_credential(OPERATOR) as credential,
        ContainerInstanceManagementClient(credential, SUBSCRIPTION) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def http():
    async with aiohttp.ClientSession(trust_env=True) as session:
        yield session


def release_policy(host_data, *, debuggable="false"):
    claims = {
        "x-ms-sevsnpvm-hostdata": host_data,
        "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-sevsnpvm-is-debuggable": debuggable,
        "x-ms-sevsnpvm-vmpl": "0",
    }
    conditions = [{"claim": claim, "equals": value} for claim, value in claims.items()]
    entry = {"authority": f"https://{ATTESTATION}", "allOf": conditions}
    return json.dumps({"version": "1.0.0", "anyOf": [entry]}).encode()


def group_body(tag="runs", policy=POLICY):
    return {
        "location": "westeurope",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity_id(): {}}},
        "properties": {
            "sku": "Confidential",
            "osType": "Linux",
            "ipAddress": {"type": "Private", "ports": [{"port": 8501, "protocol": "TCP"}]},
            "restartPolicy": "Never",
            "confidentialComputeProperties": {"ccePolicy": base64.b64encode(policy).decode()},
            "containers": [
                {
                    "name": "app",
                    "properties": {
                        "image": f"party1.azurecr.io/summarizer:{tag}",
                        "command": ["/app"],
                        "environmentVariables": [{"name": "TOKEN", "secureValue": "planted secret"}],
                        "ports": [{"port": 8501, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": 1, "memoryInGB": 2}},
                    },
                }
            ],
        },
    }


def identity_id():
    provider = "Microsoft.ManagedIdentity/userAssignedIdentities/summarizer"
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/{provider}"


async def create(client, name, body):
    poller = await client.container_groups.begin_create_or_update(
        RESOURCE_GROUP, name, json.dumps(body).encode(), content_type="application/json"
    )
    return await poller.result()


async def delete(client, name):
    poller = await client.container_groups.begin_delete(RESOURCE_GROUP, name)
    await poller.result()


class Guest:
    """What the sidecar does to get a key: a wrapping key, a report, a token, a release."""

    def __init__(self, sandbox, policy=POLICY, *, debug=False):
        self.attester = Attester(sandbox.state.home / "azure" / "attester")
        self.host_data = hashlib.sha256(policy).digest()
        self.debug = debug
        self.private = rsa.generate_private_key(65537, 2048)
        numbers = self.private.public_key().public_numbers()
        key = {"e": "AQAB", "key_ops": ["encrypt"], "kid": "wrap", "kty": "RSA", "n": b64u_number(numbers.n)}
        self.runtime_data = json.dumps({"keys": [key]}, separators=(",", ":")).encode()

    def request(self):
        report_data = hashlib.sha256(self.runtime_data).digest() + bytes(32)
        certificates = json.loads(base64.b64decode(self.attester.host_amd_cert_base64))
        endorsement = b64u(base64.b64decode(self.attester.reference_info_base64))
        evidence = {
            "SnpReport": b64u(self.attester.report(report_data, self.host_data, debug=self.debug)),
            "VcekCertChain": b64u((certificates["vcekCert"] + certificates["certificateChain"]).encode()),
            "Endorsements": b64u(json.dumps({"Uvm": [endorsement]}).encode()),
        }
        return {
            "report": b64u(json.dumps(evidence).encode()),
            "runtimeData": {"data": b64u(self.runtime_data), "dataType": "JSON"},
            "initTimeData": {"data": "", "dataType": ""},
            "nonce": 2**64 - 1,
        }

    async def token(self):
        async with http() as session:
            url = f"https://{ATTESTATION}/attest/SevSnpVM?api-version=2020-10-01"
            async with session.post(url, json=self.request()) as answer:
                assert answer.status == 200, await answer.text()
                return (await answer.json())["token"]

    def unwrap(self, jws, host=VAULT):
        header = jwt.get_unverified_header(jws)
        leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [host]
        payload = jwt.decode(jws, leaf.public_key(), algorithms=["RS256"])
        assert payload["request"]["enc"] == "CKM_RSA_AES_KEY_WRAP"
        wrapped = json.loads(from_b64u(payload["response"]["key"]["key"]["key_hsm"]))
        ciphertext = from_b64u(wrapped["ciphertext"])
        sha1 = hashes.SHA1()  # noqa: S303  (what CKM_RSA_AES_KEY_WRAP says)
        aes_key = self.private.decrypt(ciphertext[:256], padding.OAEP(padding.MGF1(sha1), sha1, None))
        return keywrap.aes_key_unwrap_with_padding(aes_key, ciphertext[256:])


def b64u(data):
    return base64.urlsafe_b64encode(data).decode()


def from_b64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def b64u_number(number):
    return b64u(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip("=")


async def import_key(client, name, material, policy):
    key = JsonWebKey(kty="oct-HSM", k=material, key_ops=["encrypt", "decrypt"])
    return await client.import_key(name, key, exportable=True, release_policy=KeyReleasePolicy(policy))


async def release_with(sandbox, guest, name, token=None):
    async with (
        group_credential(sandbox, "key-group") as credential,
        KeyClient(f"https://{VAULT}", credential) as client,
    ):
        return (await client.release_key(name, token or await guest.token())).value


@contextlib.asynccontextmanager
async def group_credential(sandbox, name):
    """A managed identity's credential as inside a group: its metadata socket, made reachable by TCP for the SDK."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    path = sandbox.state.run / f"{digest}.imds"
    async with containers(sandbox) as client:
        await create(client, name, group_body())

    async def carry(reader, writer):
        inner_reader, inner_writer = await asyncio.open_unix_connection(path)

        async def copy(source, target):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with ManagedIdentityCredential() as credential:
            yield credential
    finally:
        del os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
        server.close()
        async with containers(sandbox) as client:
            await delete(client, name)


async def test_a_group_goes_from_put_to_running_to_gone(sandbox):
    async with containers(sandbox) as client:
        group = await create(client, "walk", group_body())
        assert group.provisioning_state == "Succeeded"
        assert group.instance_view.state == "Running"
        assert group.containers[0].instance_view.current_state.state == "Running"
        assert group.ip_address.ip.startswith("127.77.")
        listed = [one async for one in client.container_groups.list_by_resource_group(RESOURCE_GROUP)]
        assert [one.instance_view for one in listed if one.name == "walk"] == [None]
        logs = await client.containers.list_logs(RESOURCE_GROUP, "walk", "app", tail=2)
        assert logs.content == "two\nthree"
        await delete(client, "walk")
        with pytest.raises(ResourceNotFoundError):
            await client.container_groups.get(RESOURCE_GROUP, "walk")


async def test_a_secret_in_the_request_is_never_shown_again(sandbox):
    async with containers(sandbox) as client:
        group = await create(client, "secretive", group_body())
        assert group.containers[0].environment_variables[0].name == "TOKEN"
        assert group.containers[0].environment_variables[0].secure_value is None
        assert group.confidential_compute_properties.cce_policy == base64.b64encode(POLICY).decode()
        await delete(client, "secretive")


async def test_a_denied_group_fails_the_operation_with_the_decision(sandbox):
    async with containers(sandbox) as client:
        with pytest.raises(HttpResponseError) as caught:
            await create(client, "denied", group_body("denied"))
        assert caught.value.status_code == 200
        assert caught.value.error.code == "Failed"
        assert re.search(r"policyDecision< [A-Za-z0-9+/=]+ >policyDecision", caught.value.error.message)
        group = await client.container_groups.get(RESOURCE_GROUP, "denied")
        assert group.provisioning_state == "Failed"
        await delete(client, "denied")


async def test_a_missing_image_is_refused_at_once(sandbox):
    async with containers(sandbox) as client:
        with pytest.raises(HttpResponseError) as caught:
            await create(client, "imageless", group_body("missing"))
        assert (caught.value.status_code, caught.value.error.code) == (400, "InaccessibleImage")
        with pytest.raises(ResourceNotFoundError):
            await client.container_groups.get(RESOURCE_GROUP, "imageless")


async def test_usages_and_capabilities_are_listed(sandbox):
    async with containers(sandbox) as client:
        usages = {one.name.value async for one in client.location.list_usage("westeurope")}
        assert usages == {"ContainerGroups", "ConfidentialCores"}
        capabilities = [one async for one in client.location.list_capabilities("westeurope")]
        assert capabilities[0].capabilities.max_cpu == 31


async def test_the_attested_group_gets_exactly_the_imported_key(sandbox):
    guest, material = Guest(sandbox), os.urandom(32)
    async with keys(sandbox, OWNER) as client:
        imported = await import_key(client, "contracts-key", material, release_policy(guest.host_data.hex()))
        assert (imported.key_type, imported.properties.exportable) == ("oct-HSM", True)
        assert imported.key.k is None
    assert guest.unwrap(await release_with(sandbox, guest, "contracts-key")) == material


async def test_another_policy_than_the_measured_one_gets_no_key(sandbox):
    guest, other = Guest(sandbox), Guest(sandbox, b"package policy\n\nallow := true\n")
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "other-key", os.urandom(32), release_policy(guest.host_data.hex()))
    with pytest.raises(HttpResponseError) as caught:
        await release_with(sandbox, other, "other-key")
    assert (caught.value.status_code, caught.value.error.code) == (403, "Forbidden")


async def test_a_debuggable_guest_gets_no_key_that_wants_a_closed_one(sandbox):
    guest = Guest(sandbox, debug=True)
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "closed-key", os.urandom(32), release_policy(guest.host_data.hex()))
    with pytest.raises(HttpResponseError) as caught:
        await release_with(sandbox, guest, "closed-key")
    assert caught.value.status_code == 403


async def test_an_identity_without_the_release_role_is_forbidden(sandbox):
    guest = Guest(sandbox)
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "role-key", os.urandom(32), release_policy(guest.host_data.hex()))
        with pytest.raises(HttpResponseError) as caught:
            await client.release_key("role-key", await guest.token())
    assert caught.value.status_code == 403
    assert "release" in caught.value.message


async def test_the_operator_manages_the_models_key_and_may_only_look_at_the_owner_s(sandbox):
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "owners-key", os.urandom(32), release_policy("00" * 32))
    async with keys(sandbox, OPERATOR) as client:
        changed = release_policy("11" * 32)
        await import_key(client, MODELS_KEY, os.urandom(32), release_policy("00" * 32))
        await client.update_key_properties(MODELS_KEY, release_policy=KeyReleasePolicy(changed))
        assert (await client.get_key(MODELS_KEY)).properties.release_policy.encoded_policy == changed
        assert (await client.get_key("owners-key")).name == "owners-key"
        with pytest.raises(HttpResponseError):
            await client.update_key_properties("owners-key", release_policy=KeyReleasePolicy(changed))


async def test_a_deleted_key_can_be_recovered_and_then_purged(sandbox):
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "mortal-key", os.urandom(32), release_policy("00" * 32))
        deleted = await client.delete_key("mortal-key")
        assert deleted.scheduled_purge_date > deleted.deleted_date
        with pytest.raises(ResourceNotFoundError):
            await client.get_key("mortal-key")
        await client.recover_deleted_key("mortal-key")
        assert (await client.get_key("mortal-key")).name == "mortal-key"
        await client.delete_key("mortal-key")
        await client.purge_deleted_key("mortal-key")
        with pytest.raises(ResourceNotFoundError):
            await client.get_deleted_key("mortal-key")


async def test_a_workload_identity_signs_in_with_its_service_account_token(sandbox, tmp_path):
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:csum:operator",
        "aud": ["api://AzureADTokenExchange"],
        "exp": int(time.time()) + 600,
    }
    file = tmp_path / "token"
    file.write_text(jwt.encode(claims, "x" * 32, algorithm="HS256"))
    client_id = sandbox.principals[OPERATOR].client_id
    async with WorkloadIdentityCredential(
        tenant_id=TENANT, client_id=client_id, token_file_path=str(file)
    ) as credential:
        token = (await credential.get_token("https://management.azure.com/.default")).token
    said = jwt.decode(token, options={"verify_signature": False})
    assert (said["appid"], said["aud"], said["tid"]) == (client_id, "https://management.azure.com", TENANT)


async def test_a_wrong_secret_does_not_sign_in(sandbox):
    async with ClientSecretCredential(TENANT, sandbox.principals[OWNER].client_id, "wrong") as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await credential.get_token("https://vault.azure.net/.default")


async def test_a_groups_identity_gets_tokens_for_storage_that_azurite_would_take(sandbox):
    async with group_credential(sandbox, "identity-group") as credential:
        token = (await credential.get_token("https://storage.azure.com/.default")).token
    said = jwt.decode(token, options={"verify_signature": False})
    assert said["aud"] == "https://storage.azure.com"
    assert said["iss"] == f"https://sts.windows.net/{TENANT}/"
    assert said["appid"] == sandbox.principals[SUMMARIZER].client_id
    assert said["xms_mirid"] == identity_id()


async def test_a_connection_out_of_a_group_reaches_the_service_that_its_server_name_says(sandbox, tmp_path):
    """The switchboard here is this test's own, with the process's ports: the process itself has no group now."""
    switchboard = Switchboard(sandbox.state.port("stand_ins"), sandbox.state.run, sandbox.state.ca_bundle, Faults())
    network = await switchboard.open("lines", "127.77.0.1", web.Application())
    try:
        context = ssl.create_default_context(cafile=str(sandbox.state.ca_bundle))
        reader, writer = await asyncio.open_unix_connection(
            network.services_socket, ssl=context, server_hostname=ATTESTATION
        )
        writer.write(f"GET /certs HTTP/1.1\r\nHost: {ATTESTATION}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"kid"' in answer
    finally:
        await switchboard.close_all()


async def test_a_name_outside_the_sandbox_is_not_reachable(sandbox):
    async with http() as session:
        with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
            await session.get("https://example.org/")
    assert caught.value.status == 502


CLIENT = """
import asyncio, sys
from azure.core.exceptions import ResourceNotFoundError
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.keys.aio import KeyClient
from azure.mgmt.containerinstance.aio import ContainerInstanceManagementClient

async def main(vault, subscription):
    async with DefaultAzureCredential() as credential, KeyClient(vault, credential) as keys:
        print([key.name async for key in keys.list_properties_of_keys()])
        async with ContainerInstanceManagementClient(credential, subscription) as containers:
            print([group.name async for group in containers.container_groups.list()])

asyncio.run(main(*sys.argv[1:]))
"""


def test_the_command_serves_a_client_that_was_only_told_the_proxy_and_the_certificates():
    with tempfile.TemporaryDirectory(prefix="csum-") as home:
        sandbox = Sandbox(Path(home), "azure_sandbox.azure", "--home", home)
        sandbox.start()
        try:
            owner = sandbox.principals[OWNER]
            signed_in = {
                "AZURE_TENANT_ID": TENANT,
                "AZURE_CLIENT_ID": owner.client_id,
                "AZURE_CLIENT_SECRET": owner.secret,
            }
            client = subprocess.run(
                [sys.executable, "-c", CLIENT, f"https://{VAULT}", SUBSCRIPTION],
                env=os.environ | sandbox.state.client_environment() | signed_in,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert client.stdout == "[]\n[]\n", client.stderr
        finally:
            sandbox.stop()


async def test_groups_and_keys_outlive_the_process(sandbox):
    async with keys(sandbox, OWNER) as client:
        await import_key(client, "lasting-key", os.urandom(32), release_policy("00" * 32))
    async with containers(sandbox) as client:
        before = await create(client, "lasting", group_body())
        await create(client, "ended", group_body("ends"))
    await asyncio.to_thread(sandbox.stop)
    await asyncio.to_thread(sandbox.start)
    async with keys(sandbox, OWNER) as client:
        assert (await client.get_key("lasting-key")).properties.exportable
    async with containers(sandbox) as client:
        after = await client.container_groups.get(RESOURCE_GROUP, "lasting")
        assert after.instance_view.state == "Running"
        assert after.ip_address.ip == before.ip_address.ip
        ended = await client.container_groups.get(RESOURCE_GROUP, "ended")
        assert ended.instance_view.state == "Succeeded"
        for name in ("lasting", "ended"):
            await delete(client, name)
