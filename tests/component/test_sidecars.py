"""The sidecars' stand-ins against the stand-ins' process, Azurite and a real sealed image, without a container."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pyrage
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attested_release.errors import ReleaseError
from attested_release.guest import Guest, SecurityContext
from attested_release.http import request
from attested_release.identity import Identity
from attested_release.release import KeyReference, release_key
from azure_sandbox.attester import Attester
from azure_sandbox.azure.metadata import metadata_application
from azure_sandbox.azure.principals import OWNER, SUMMARIZER, Principals
from azure_sandbox.azure.tokens import SigningKey, Tokens
from azure_sandbox.blobs import Blobs
from azure_sandbox.encoding import integer_to_base64url, to_base64url
from azure_sandbox.names import ATTESTATION, BLOB_HOST, VAULT
from azure_sandbox.state import SandboxState
from confidential_summarizer import blueprint
from confidential_summarizer.errors import IntegrityError
from confidential_summarizer.evidence.result import Result
from confidential_summarizer.release import KeyDerivation, derive_key
from confidential_summarizer.sealing import Signer, content_key, read_manifest, seal
from encfs import mounting
from encfs.arguments import parse_arguments
from encfs.mounting import open_all
from summarizer.channel import new_channel_key
from summarizer.jobs import Jobs
from summarizer.output import SealedResults
from summarizer.progress import Progress, State
from summarizer.settings import Settings
from summarizer.worker import Worker
from tests.support.approving import derived_with
from tests.support.resources import resource

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
POLICY = b"package policy\n"
HOST_DATA = hashlib.sha256(POLICY).digest()
KEY = bytes(range(32))
SALT = "00ff"
TEXT = b"The tenant pays on the first day of each month.\n"
PAGES = 512 << 10
START_SECONDS = 60


class Sandbox:
    """The process, Azurite, and one guest's view of them."""

    def __init__(self, home):
        self.state = SandboxState(home)
        self.state.prepare()
        own = home / "azure"
        own.mkdir(exist_ok=True)
        self.principals = Principals(own / "principals.json")
        self.tokens = Tokens(SigningKey(own / "login.pem"))
        self.attester = Attester(own / "attester")
        self.metadata = ""

    def token(self, who, audience):
        return self.tokens.issue(self.principals[who], audience).value

    def identity(self):
        return Identity(metadata=self.metadata, sleep=lambda _: None)

    def context_directory(self, directory):
        directory.mkdir()
        (directory / "reference-info-base64").write_text(self.attester.reference_info_base64)
        (directory / "host-amd-cert-base64").write_text(self.attester.host_amd_cert_base64)
        (directory / "security-policy-base64").write_text(base64.b64encode(POLICY).decode())
        return {"UVM_SECURITY_CONTEXT_DIR": str(directory)}

    def import_key(self, name, jwk, host_data=HOST_DATA):
        claims = {
            "x-ms-sevsnpvm-hostdata": host_data.hex(),
            "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-sevsnpvm-is-debuggable": "false",
        }
        conditions = [{"claim": claim, "equals": value} for claim, value in claims.items()]
        policy = {"version": "1.0.0", "anyOf": [{"authority": f"https://{ATTESTATION}", "allOf": conditions}]}
        document = {
            "key": jwk,
            "hsm": True,
            "attributes": {"exportable": True},
            "release_policy": {
                "contentType": "application/json; charset=utf-8",
                "data": to_base64url(json.dumps(policy).encode()),
            },
        }
        headers = {"Authorization": f"Bearer {self.token(OWNER, 'https://managedhsm.azure.net')}"}
        url = f"https://{VAULT}/keys/{name}?api-version=7.4"
        request("the vault", "PUT", url, headers=headers, document=document)

    def upload(self, name, content=None):
        """Put a blob, or make the container when there is no content."""
        headers = {
            "Authorization": f"Bearer {self.token(OWNER, 'https://storage.azure.com')}",
            "x-ms-version": "2020-10-02",
            "x-ms-blob-type": "BlockBlob",
        }
        url = f"https://{BLOB_HOST}/{name}" + ("" if content else "?restype=container")
        upload = urllib.request.Request(url, content or b"", headers, method="PUT")
        with urllib.request.urlopen(upload, timeout=60) as answer:
            assert answer.status == 201

    def upload_pages(self, name, content):
        """Write a page blob with the requests that azmount sends (4 MiB at most for each)."""
        headers = {
            "Authorization": f"Bearer {self.token(OWNER, 'https://storage.azure.com')}",
            "x-ms-version": "2020-10-02",
        }
        url = f"https://{BLOB_HOST}/{name}"
        made = {**headers, "x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(len(content))}
        with urllib.request.urlopen(urllib.request.Request(url, b"", made, method="PUT"), timeout=60) as answer:
            assert answer.status == 201
        for first in range(0, len(content), PAGES):
            part = content[first : first + PAGES]
            span = {"Range": f"bytes={first}-{first + len(part) - 1}", "x-ms-page-write": "update"}
            written = {**headers, **span, "x-ms-encryption-algorithm": "AES256"}
            put = urllib.request.Request(f"{url}?comp=page", part, written, method="PUT")
            with urllib.request.urlopen(put, timeout=60) as answer:
                assert answer.status == 201


def serve_metadata(sandbox, ready, ended):
    """The group's metadata service on a port of its own; in a group it is at 169.254.169.254."""

    async def serve():
        application = metadata_application(
            lambda: [sandbox.principals[SUMMARIZER]], sandbox.tokens, sandbox.attester.host_amd_cert_base64
        )
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sandbox.metadata = f"http://127.0.0.1:{runner.addresses[0][1]}/metadata"
        ready.set()
        await asyncio.to_thread(ended.wait)
        await runner.cleanup()

    asyncio.run(serve())


@pytest.fixture(scope="module")
def sandbox():
    with tempfile.TemporaryDirectory(prefix="csum-") as home, pytest.MonkeyPatch.context() as patch:
        sandbox = Sandbox(Path(home))
        ready, ended = threading.Event(), threading.Event()
        process = subprocess.Popen([sys.executable, "-m", "tests.support.stand_ins_process", home], cwd=ROOT)
        thread = threading.Thread(target=serve_metadata, args=(sandbox, ready, ended))
        thread.start()
        try:
            Blobs(sandbox.state).up(print)
            wait_for(sandbox.state.port("proxy"), process)
            for name, value in sandbox.state.client_environment().items():
                patch.setenv(name, value)
            # The first `urlopen` of a process keeps the proxy of its moment for all that follow.
            urllib.request.install_opener(urllib.request.build_opener())
            ready.wait(START_SECONDS)
            sandbox.import_key("contracts-key", {"kty": "oct-HSM", "k": to_base64url(KEY)})
            sandbox.upload("sealed")
            yield sandbox
        finally:
            urllib.request.install_opener(None)
            ended.set()
            thread.join()
            Blobs(sandbox.state).down()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


@pytest.fixture(autouse=True)
def privileged(monkeypatch, tmp_path_factory):
    """What a privileged container has."""
    device = tmp_path_factory.mktemp("devices") / "fuse"
    device.touch()
    monkeypatch.setattr(mounting, "FUSE", device)
    return device


def wait_for(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise AssertionError("the process does not listen")


@pytest.fixture
def launch(sandbox, tmp_path):
    """Launch a guest with a policy, and perhaps in debug mode."""

    def launch(policy=POLICY, *, debug=False):
        digest = hashlib.sha256(policy).digest()
        context = SecurityContext.load(sandbox.context_directory(tmp_path / "context"))
        return Guest(context, lambda data: sandbox.attester.report(data, digest, debug=debug))

    return launch


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    documents = tmp_path_factory.mktemp("documents")
    documents.chmod(0o755)
    (documents / "2024").mkdir()
    (documents / "2024" / "lease.txt").write_bytes(TEXT)
    return seal(documents, tmp_path_factory.mktemp("sealed") / "contracts.img", KEY).path


CONTRACTS_KEY = KeyReference("contracts-key", VAULT, ATTESTATION)


def arguments(mount_point, *, key="contracts-key", blob="contracts.img", **changes):
    entry = {
        "mount_point": str(mount_point),
        "azure_url": f"https://{BLOB_HOST}/sealed/{blob}",
        "azure_url_private": True,
        "key": {"kid": key, "authority": {"endpoint": ATTESTATION}, "akv": {"endpoint": VAULT}},
        **changes,
    }
    text = base64.b64encode(json.dumps({"azure_filesystems": [entry]}).encode()).decode()
    return parse_arguments(text).file_systems


def test_a_guest_with_the_admitted_policy_gets_the_key(sandbox, launch):
    released = release_key(launch(), sandbox.identity(), CONTRACTS_KEY)

    assert (released.kty, released.secret) == ("oct", KEY)


def test_a_guest_with_another_policy_is_refused_with_the_cause(sandbox, launch):
    with pytest.raises(ReleaseError, match=r"not released by party2.* \(403: .*admits another policy hash"):
        release_key(launch(b"package policy # changed\n"), sandbox.identity(), CONTRACTS_KEY)


def test_a_guest_that_the_host_can_look_into_is_refused(sandbox, launch):
    with pytest.raises(ReleaseError, match="403"):
        release_key(launch(debug=True), sandbox.identity(), CONTRACTS_KEY)


def test_an_unknown_key_is_named(sandbox, launch):
    key = KeyReference("no-such-key", VAULT, ATTESTATION)

    with pytest.raises(ReleaseError, match=r"key no-such-key .*404"):
        release_key(launch(), sandbox.identity(), key)


def test_a_token_that_the_vault_does_not_take_stays_out_of_the_message(sandbox, launch):
    key = KeyReference("contracts-key", VAULT, ATTESTATION, access_token="planted-token")

    with pytest.raises(ReleaseError, match="401") as caught:
        release_key(launch(), sandbox.identity(), key)
    assert "planted" not in str(caught.value)


def test_an_attestation_service_that_does_not_exist_is_named(sandbox, launch):
    key = KeyReference("contracts-key", VAULT, "no-such.example.org")

    with pytest.raises(ReleaseError, match=r"no-such\.example\.org cannot be reached"):
        release_key(launch(), sandbox.identity(), key)


def test_a_sealed_image_is_opened_behind_a_relative_link(sandbox, launch, image, tmp_path):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    mount_point = tmp_path / "remote" / "contracts"
    said = []

    open_all(arguments(mount_point), launch(), sandbox.identity(), said.append)

    assert mount_point.readlink() == Path(".filesystem-0")
    assert (mount_point / "2024" / "lease.txt").read_bytes() == TEXT
    assert {path.name for path in mount_point.iterdir()} == {"2024"}
    for path in (mount_point, mount_point / "2024", mount_point / "2024" / "lease.txt"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & 0o222
        assert mode & 0o004
    assert said == [f"file system 0 is open at {mount_point}"]


def test_a_restart_in_the_same_machine_finds_the_device_of_the_first_run(sandbox, launch, image, tmp_path):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    mount_point, guest = tmp_path / "remote" / "contracts", launch()
    open_all(arguments(mount_point), guest, sandbox.identity(), print)

    with pytest.raises(ReleaseError, match=r"cryptsetup open failed: .*Device remote-crypt-0 already exists"):
        open_all(arguments(mount_point), guest, sandbox.identity(), print)
    assert (mount_point / "2024" / "lease.txt").read_bytes() == TEXT


def test_a_mount_point_that_is_there_already_is_refused(sandbox, launch, image, tmp_path):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    mount_point = tmp_path / "remote" / "contracts"
    mount_point.mkdir(parents=True)

    with pytest.raises(ReleaseError, match=r"failed to symlink filesystem-0: .*file exists"):
        open_all(arguments(mount_point), launch(), sandbox.identity(), print)


def test_a_sidecar_without_privileges_opens_nothing(sandbox, launch, image, tmp_path, privileged):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    privileged.unlink()

    with pytest.raises(ReleaseError, match=r"timed out while waiting .* not privileged"):
        open_all(arguments(tmp_path / "remote" / "contracts"), launch(), sandbox.identity(), print)


def test_a_block_blob_cannot_be_opened_for_writing(sandbox, launch, image, tmp_path):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    mount_point = tmp_path / "remote" / "contracts"

    with pytest.raises(ReleaseError, match=r"failed to mount filesystem: .*input/output error.* BlockBlob"):
        open_all(arguments(mount_point, read_write=True), launch(), sandbox.identity(), print)
    assert not mount_point.is_symlink()


def test_a_read_write_file_system_in_a_page_blob_can_be_changed(sandbox, launch, image, tmp_path):
    sandbox.upload_pages("sealed/pages.img", image.read_bytes())
    mount_point = tmp_path / "remote" / "contracts"

    open_all(arguments(mount_point, blob="pages.img", read_write=True), launch(), sandbox.identity(), print)
    (mount_point / "2024" / "lease.txt").write_bytes(b"changed")

    assert (mount_point / "2024" / "lease.txt").read_bytes() == b"changed"


def test_an_rsa_key_opens_what_was_sealed_with_the_key_derived_from_it(sandbox, launch, image, tmp_path):
    pair = rsa.generate_private_key(65537, 2048)
    derived = derive_key(pair, KeyDerivation(SALT))
    (tmp_path / "documents").mkdir(mode=0o755)
    (tmp_path / "documents" / "lease.txt").write_bytes(TEXT)
    sandbox.upload("sealed/derived.img", seal(tmp_path / "documents", tmp_path / "image", derived).path.read_bytes())
    sandbox.import_key("derived-key", private_jwk(pair))
    mount_point = tmp_path / "remote" / "contracts"
    file_systems = arguments(mount_point, key="derived-key", blob="derived.img", key_derivation={"salt": SALT})

    open_all(file_systems, launch(), sandbox.identity(), print)

    assert (mount_point / "lease.txt").read_bytes() == TEXT


def private_jwk(pair):
    numbers = pair.private_numbers()
    values = {
        "n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d, "p": numbers.p, "q": numbers.q,
        "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
    }  # fmt: skip
    return {"kty": "RSA-HSM", **{name: integer_to_base64url(value) for name, value in values.items()}}


def test_an_image_sealed_with_another_key_is_refused_and_no_link_appears(sandbox, launch, image, tmp_path):
    sandbox.upload("sealed/contracts.img", image.read_bytes())
    sandbox.import_key("other-key", {"kty": "oct-HSM", "k": to_base64url(bytes(32))})
    mount_point = tmp_path / "remote" / "contracts"

    with pytest.raises(ReleaseError, match=r"file system 0 .*sealed with another one"):
        open_all(arguments(mount_point, key="other-key"), launch(), sandbox.identity(), print)
    assert not mount_point.is_symlink()


def test_a_missing_blob_is_named_without_its_signature(sandbox, launch, tmp_path):
    file_systems = arguments(tmp_path / "remote" / "x", blob="no-such.img?sv=1&sig=planted")

    with pytest.raises(ReleaseError, match=r"no-such\.img cannot be read \(40[34]\)") as caught:
        open_all(file_systems, launch(), sandbox.identity(), print)
    assert "planted" not in str(caught.value)


def test_a_blob_that_is_no_sealed_image_is_refused(sandbox, launch, tmp_path):
    sandbox.upload("sealed/plain.img", bytes(1 << 20))

    with pytest.raises(ReleaseError, match="no sealed image"):
        open_all(arguments(tmp_path / "remote" / "x", blob="plain.img"), launch(), sandbox.identity(), print)


def test_the_whole_sidecar_fails_with_one_line_and_stays_until_it_is_told_to_end(sandbox, tmp_path):
    """As the process in the image, where its arguments name a blob with a secret and there is no secure processor."""
    mount_point = tmp_path / "remote" / "x"
    text = base64.b64encode(
        json.dumps(
            {
                "azure_filesystems": [
                    {
                        "mount_point": str(mount_point),
                        "azure_url": f"https://{BLOB_HOST}/sealed/no-such.img?sig=planted",
                        "key": {"kid": "x", "akv": {"endpoint": VAULT, "bearer_token": "planted"}},
                    }
                ]
            }
        ).encode()
    ).decode()
    script = f"import encfs.mounting as n, encfs.__main__ as m, pathlib; n.FUSE = pathlib.Path('/dev/null'); m.RESULT = pathlib.Path({str(tmp_path / 'result')!r}); m.main()"
    environment = {
        **os.environ,
        **sandbox.context_directory(tmp_path / "context"),
        "EncfsSideCarArgs": text,
        "PYTHONPATH": str(ROOT / "sandbox" / "sidecars"),
    }
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    deadline = time.monotonic() + START_SECONDS
    while not (tmp_path / "result").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "result").read_text() == "0"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "level=fatal" in line
    assert "no-such.img cannot be read" in line
    assert "planted" not in line + rest
    assert text not in line + rest


class Written(dict):
    """A folder of blobs."""

    put = dict.__setitem__


@pytest.fixture
def two_owners(sandbox, tmp_path, monkeypatch):
    """A resource over the documents of two owners, each sealed with a key of their own, one pinned and one signed."""
    monkeypatch.setattr(blueprint, "REMOTE_PATH", str(tmp_path / "remote"))
    signer = Ed25519PrivateKey.generate()
    entries, owners = [], {}
    for number, (name, text) in enumerate({"legal": "The lease ends in May.", "sales": "The price falls."}.items()):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "a.txt").write_text(f"{text} " * 30)
        pin = {"contentSHA256": read_manifest(folder).sha256}
        signed = Signer(signer, name, 3) if name == "sales" else None
        owners[name] = bytes([number]) * 32, pyrage.x25519.Identity.generate()
        image = seal(folder, tmp_path / f"{name}.img", owners[name][0], signer=signed).path
        sandbox.upload(f"sealed/{name}.img", image.read_bytes())
        entries.append(
            {
                "name": name,
                "role": "Documents",
                "blobURL": f"https://{BLOB_HOST}/sealed/{name}.img",
                "key": {"name": f"{name}-key", "vault": VAULT, "attestation": ATTESTATION},
                "output": {
                    "blobPrefix": f"https://{BLOB_HOST}/results/{name}/",
                    "recipient": str(owners[name][1].to_public()),
                },
                **({"contentKey": content_key(signer), "minVersion": 2} if signed else pin),
            }
        )
    return resource(fileSystems=entries, summarizer={"models": ["bart-demo"], "guard": {"mode": "report"}}), owners


def test_one_group_opens_what_two_owners_sealed_and_each_gets_their_own_results(sandbox, launch, two_owners):
    summarizer, owners = two_owners
    policy = asyncio.run(derived_with("1")(summarizer)).policy
    for name, (key, _) in owners.items():
        jwk = {"kty": "oct-HSM", "k": to_base64url(key)}
        sandbox.import_key(f"{name}-key", jwk, bytes.fromhex(policy.host_data))
    sidecar = parse_arguments(blueprint.sidecar_arguments(summarizer.spec.file_systems)).file_systems
    open_all(sidecar, launch(policy.text.encode()), sandbox.identity(), print)

    settings = Settings.from_environment(blueprint.summarizer_environment(summarizer, None))
    settings = settings.model_copy(update={"models_directory": ROOT / "examples" / "models"})
    blobs = {one.name: Written() for one in settings.documents}
    channel = new_channel_key()
    results = {one.name: SealedResults(blobs[one.name], one.recipient, channel, None) for one in settings.documents}
    progress = Progress()
    Worker(settings, progress, Jobs(), results).start()

    assert progress.snapshot.state is State.READY, progress.snapshot.reason
    assert [one.file_system for one in progress.snapshot.documents] == ["legal", "sales"]
    assert progress.snapshot.versions == {"sales": 3}
    for name, (_, identity) in owners.items():
        [blob] = blobs[name].values()
        assert Result.open(blob, [identity]).fields["fileSystem"] == name
        others = [other for owner, (_, other) in owners.items() if owner != name]
        with pytest.raises(IntegrityError, match="encrypted to another key"):
            Result.open(blob, others)


def test_until_each_owner_approved_the_group_opens_nothing_of_theirs(sandbox, launch, two_owners, tmp_path):
    summarizer, owners = two_owners
    policy = asyncio.run(derived_with("1")(summarizer)).policy
    for name, host_data in (("legal", bytes.fromhex(policy.host_data)), ("sales", HOST_DATA)):
        sandbox.import_key(f"{name}-key", {"kty": "oct-HSM", "k": to_base64url(owners[name][0])}, host_data)
    sidecar = parse_arguments(blueprint.sidecar_arguments(summarizer.spec.file_systems)).file_systems
    with pytest.raises(ReleaseError, match=r"file system 1 at .*/sales is not opened: .*403"):
        open_all(sidecar, launch(policy.text.encode()), sandbox.identity(), print)
    assert (tmp_path / "remote" / "legal").exists()
    assert not (tmp_path / "remote" / "sales").exists()
