"""The data owner at work: `csum` in this process, against the stand-ins' own process and, where asked for, Azurite."""

import base64
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import jwt
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from azure_sandbox.attester import Attester
from azure_sandbox.azure.principals import OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.guest.api import ReportSource
from azure_sandbox.names import ATTESTATION, TENANT
from azure_sandbox.state import SandboxState
from confidential_summarizer.cli import main

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


@dataclass(frozen=True)
class Result:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self):
        """The JSON on stdout."""
        return json.loads(self.out)


def csum(*arguments: object, answer: str = "") -> Result:
    """Run a command in this process, with `answer` typed in."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    stdin, sys.stdin = sys.stdin, io.StringIO(answer)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdin = stdin
    return Result(code, out.getvalue(), err.getvalue())


class SmallAzure:
    """The stand-ins' process; with scripted guests where no other command is given."""

    def __init__(self, home: Path, command: Sequence[str] = ()) -> None:
        self.state = SandboxState(home)
        self.state.prepare()
        self.command = command or [sys.executable, "-m", "tests.support.stand_ins_process", str(home)]

    @contextmanager
    def running(self) -> Iterator["SmallAzure"]:
        """Serve while the block runs."""
        with subprocess.Popen(self.command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            try:
                self._wait(process)
                yield self
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, "the process ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.state.port("proxy"))):
                return
            time.sleep(0.1)
        raise AssertionError("the process does not listen")

    def environment(self, who: str = OWNER) -> dict[str, str]:
        """What a client needs that signs in as an application."""
        principal = Principals(self.state.home / "azure" / "principals.json")[who]
        assert principal.secret is not None
        return {
            **self.state.client_environment(),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_CLIENT_SECRET": principal.secret,
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
        }

    async def release(self, vault: str, name: str, host_data: str, *, debug: bool = False) -> bytes | int:
        """Ask for a key as a group with this host-data does; return it, or the status of the refusal."""
        group = Group(self, bytes.fromhex(host_data), debug=debug)
        audience = "https://managedhsm.azure.net" if "managedhsm" in vault else "https://vault.azure.net"
        principal = Principals(self.state.home / "azure" / "principals.json")[SUMMARIZER]
        access = Tokens(SigningKey(self.state.home / "azure" / "login.pem")).issue(principal, audience).value
        async with aiohttp.ClientSession(trust_env=True) as session:
            target = await group.token(session)
            url = f"https://{vault}/keys/{name}/release?api-version=7.4"
            headers = {"Authorization": f"Bearer {access}"}
            async with session.post(url, json={"target": target}, headers=headers) as answer:
                if answer.status != 200:
                    return answer.status
                return group.unwrap((await answer.json())["value"])


class Group:
    """A guest: its report, its token, its wrapping key."""

    def __init__(self, azure: SmallAzure, host_data: bytes, *, debug: bool = False) -> None:
        self.attester = Attester(azure.state.home / "azure" / "attester")
        self.host_data = host_data
        self.debug = debug
        self.private = rsa.generate_private_key(65537, 2048)
        number = self.private.public_key().public_numbers().n
        key = {"e": "AQAB", "key_ops": ["encrypt"], "kid": "w", "kty": "RSA", "n": b64u(number.to_bytes(256, "big"))}
        self.runtime_data = json.dumps({"keys": [key]}).encode()

    async def token(self, session: aiohttp.ClientSession) -> str:
        """Attest, and return the token."""
        return await attest(session, self.attester, self.host_data, self.runtime_data, debug=self.debug)

    def unwrap(self, jws: str) -> bytes:
        """Return the released key: 32 bytes, or for an RSA key those of its private exponent."""
        payload = jwt.decode(jws, options={"verify_signature": False})
        key = payload["response"]["key"]["key"]
        ciphertext = from_b64u(json.loads(from_b64u(key["key_hsm"]))["ciphertext"])
        sha1 = hashes.SHA1()  # noqa: S303 - what CKM_RSA_AES_KEY_WRAP says
        wrapping = self.private.decrypt(ciphertext[:256], padding.OAEP(padding.MGF1(sha1), sha1, None))
        material = keywrap.aes_key_unwrap_with_padding(wrapping, ciphertext[256:])
        if key["kty"] == "oct-HSM":
            return material
        private = serialization.load_der_private_key(material, None)
        assert isinstance(private, rsa.RSAPrivateKey)
        exponent = private.private_numbers().d
        return exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")


async def attest(
    session: aiohttp.ClientSession,
    attester: ReportSource,
    host_data: bytes,
    runtime_data: bytes,
    *,
    debug: bool = False,
) -> str:
    """Return the attestation service's token over runtime data, as a guest with this host-data gets it."""
    report_data = hashlib.sha256(runtime_data).digest() + bytes(32)
    certificates = json.loads(base64.b64decode(attester.host_amd_cert_base64))
    endorsement = b64u(base64.b64decode(attester.reference_info_base64))
    evidence = {
        "SnpReport": b64u(attester.report(report_data, host_data, debug=debug)),
        "VcekCertChain": b64u((certificates["vcekCert"] + certificates["certificateChain"]).encode()),
        "Endorsements": b64u(json.dumps({"Uvm": [endorsement]}).encode()),
    }
    body = {
        "report": b64u(json.dumps(evidence).encode()),
        "runtimeData": {"data": b64u(runtime_data), "dataType": "JSON"},
        "initTimeData": {"data": "", "dataType": ""},
        "nonce": 1,
    }
    url = f"https://{ATTESTATION}/attest/SevSnpVM?api-version=2020-10-01"
    async with session.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["token"])


def b64u(data: bytes) -> str:
    """Base64url with padding where it falls out so."""
    return base64.urlsafe_b64encode(data).decode()


def from_b64u(text: str) -> bytes:
    """Read base64url, padded or not."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fill(directory: Path, text: bytes) -> Path:
    """Make a directory with a document in it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "contract.txt").write_bytes(text)
    os.chmod(directory / "contract.txt", 0o644)  # noqa: PTH101
    return directory
