"""Storage and whoever writes the blobs: what is read is what was approved, or nothing is summarized."""

import gzip
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from confidential_summarizer.azure.blob_url import BlobURL
from confidential_summarizer.azure.blobs import SealedBlob
from confidential_summarizer.azure.results import BlobFolder
from confidential_summarizer.errors import IntegrityError, SpecError
from confidential_summarizer.evidence.result import FORMAT, LARGEST_RESULT, Origin, Result
from confidential_summarizer.sealing import Signer, content_key, read_manifest, seal
from confidential_summarizer.sealing.signature import SIGNATURE_NAME
from encfs.opening import open_image
from summarizer import content
from summarizer.channel import ChannelKey, new_channel_key
from summarizer.content import read_content
from summarizer.engine.base import read_settings
from summarizer.errors import ContentError
from summarizer.evidence import EvidenceDesk
from summarizer.jobs import Jobs
from summarizer.manifest import write_manifest
from summarizer.models import Models
from summarizer.output import SealedResults
from summarizer.progress import Progress, Snapshot, State
from summarizer.settings import DocumentSet, Settings
from summarizer.worker import Worker
from tests.support.attested import Attested
from tests.support.data_owner import csum
from tests.support.forged_images import change_header, null_cipher, swap_content
from tests.support.resources import ATTESTATION, resource, spec
from tests.support.tls import Handler, plainly

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def group(tmp_path: Path) -> Settings:
    """What the owner approved: documents and models on storage, both pinned."""
    shutil.copytree(EXAMPLES / "documents", tmp_path / "documents")
    shutil.copytree(EXAMPLES / "models" / "bart-demo", tmp_path / "models" / "bart-demo")
    return Settings(
        documents=(pinned(tmp_path / "documents"),),
        models=("bart-demo",),
        models_directory=tmp_path / "models",
        models_sha256=read_manifest(tmp_path / "models").sha256,
        guard="report",
    )


def pinned(documents: Path) -> DocumentSet:
    return DocumentSet(directory=documents, sha256=read_manifest(documents).sha256)


def approved(settings: Settings, **changes: object) -> Settings:
    """Return settings with the only documents changed."""
    (documents,) = settings.documents
    return settings.model_copy(update={"documents": (documents.model_copy(update=changes),)})


def directory(settings: Settings) -> Path:
    return settings.documents[0].directory


def run(settings: Settings) -> tuple[Snapshot, Jobs]:
    progress, jobs = Progress(), Jobs()
    Worker(settings, progress, jobs).start()
    return progress.snapshot, jobs


def refused(settings: Settings, why: str) -> None:
    snapshot, jobs = run(settings)
    assert snapshot.state is State.FAILED
    assert why in snapshot.reason
    assert jobs.results == {}


def test_what_was_approved_is_summarized(group: Settings) -> None:
    assert run(group)[0].state is State.READY


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "generation_config.json", "MODEL.md"])
def test_a_model_with_one_edited_file_is_not_loaded(group: Settings, name: str) -> None:
    file = group.models_directory / "bart-demo" / name
    file.write_bytes(file.read_bytes() + b" ")
    refused(group, "the models are")


def test_another_model_beside_the_pinned_one_is_refused_too(group: Settings) -> None:
    (group.models_directory / "evil").mkdir()
    (group.models_directory / "evil" / "config.json").write_text("{}")
    refused(group, "the models are")


def extra(documents: Path) -> None:
    (documents / "zz.txt").write_text("Forged.")


def missing(documents: Path) -> None:
    next(documents.glob("*.txt")).unlink()


def changed(documents: Path) -> None:
    file = next(documents.glob("*.txt"))
    file.write_bytes(b"\xff" * 16 + file.read_bytes()[16:])


def renamed(documents: Path) -> None:
    file = next(documents.glob("*.txt"))
    file.rename(documents / "0.txt")


@pytest.mark.parametrize("attack", [extra, missing, changed, renamed])
def test_documents_that_differ_from_the_pin_are_not_summarized(group: Settings, attack) -> None:
    attack(directory(group))
    refused(group, "differ from what the policy pins")


@pytest.fixture
def owner() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signed(group: Settings, owner: Ed25519PrivateKey) -> Settings:
    """What the owner approved: whatever they sign for these documents, from version 5 on; storage serves version 5."""
    sign(directory(group), Signer(owner, "documents", 5))
    return approved(group, sha256=None, key=content_key(owner), min_version=5)


def sign(documents: Path, signer: Signer) -> None:
    """Put the owner's signature over the files as they are where `csum seal --sign` puts it."""
    (documents / SIGNATURE_NAME).unlink(missing_ok=True)
    (documents / SIGNATURE_NAME).write_bytes(signer.sign(read_manifest(documents).sha256).text)


def test_new_documents_that_the_owner_signed_need_no_new_approval(signed: Settings, owner: Ed25519PrivateKey) -> None:
    assert run(signed)[0].versions == {"documents": 5}
    before = len(list(directory(signed).glob("*.txt")))
    extra(directory(signed))
    sign(directory(signed), Signer(owner, "documents", 6))
    snapshot, _ = run(signed)
    assert (snapshot.state, snapshot.versions, len(snapshot.documents)) == (State.READY, {"documents": 6}, before + 1)


def test_an_older_signed_image_is_not_rolled_back_to(signed: Settings, owner: Ed25519PrivateKey) -> None:
    sign(directory(signed), Signer(owner, "documents", 4))
    refused(signed, "version 4, older than minVersion 5")


def test_another_signers_documents_are_refused(signed: Settings) -> None:
    sign(directory(signed), Signer(Ed25519PrivateKey.generate(), "documents", 5))
    refused(signed, "not signed by the contentKey that the policy pins")


def test_a_signature_that_only_names_the_owners_key_is_refused(signed: Settings, owner: Ed25519PrivateKey) -> None:
    stranger = Ed25519PrivateKey.generate()
    sign(directory(signed), Signer(stranger, "documents", 5))
    file = directory(signed) / SIGNATURE_NAME
    file.write_bytes(file.read_bytes().replace(content_key(stranger).encode(), content_key(owner).encode()))
    refused(signed, "not signed by the contentKey that the policy pins")


def test_what_the_owner_signed_for_another_file_system_is_refused(signed: Settings, owner: Ed25519PrivateKey) -> None:
    sign(directory(signed), Signer(owner, "minutes", 5))
    refused(signed, "signed for another file system than documents")


@pytest.mark.parametrize("attack", [extra, missing, changed, renamed])
def test_documents_that_differ_from_the_signed_ones_are_refused(signed: Settings, attack) -> None:
    attack(directory(signed))
    refused(signed, "differ from what their owner signed as version 5")


def test_a_version_cannot_be_raised_without_the_key(signed: Settings, owner: Ed25519PrivateKey) -> None:
    sign(directory(signed), Signer(owner, "documents", 4))
    file = directory(signed) / SIGNATURE_NAME
    file.write_bytes(file.read_bytes().replace(b"version 4", b"version 5"))
    refused(signed, "not signed by the contentKey")


def test_unsigned_documents_are_refused_where_a_signature_is_wanted(signed: Settings) -> None:
    (directory(signed) / SIGNATURE_NAME).unlink()
    refused(signed, "are not signed")


def test_a_signature_of_endless_length_is_not_read(signed: Settings) -> None:
    (directory(signed) / SIGNATURE_NAME).write_bytes(bytes(4096))
    refused(signed, "the signature of the documents is too large")


def test_a_pin_of_the_files_takes_them_signed_or_not_and_no_others(group: Settings, owner: Ed25519PrivateKey) -> None:
    sign(directory(group), Signer(owner, "documents", 9))
    assert run(group)[0].state is State.READY
    extra(directory(group))
    sign(directory(group), Signer(owner, "documents", 10))
    refused(group, "differ from what the policy pins")


def test_a_flipped_block_does_not_drop_an_unpinned_document_in_silence(group: Settings) -> None:
    changed(directory(group))
    snapshot, _ = run(approved(group, sha256=None))
    # Its letters are garbled, as nothing can tell without a pin; but it is summarized, or listed with the reason.
    assert len(snapshot.documents) == len(list(directory(group).glob("*.txt")))


def test_a_card_that_is_a_link_into_the_documents_is_no_oracle(group: Settings) -> None:
    (group.models_directory / "bart-demo" / "MODEL.md").unlink()
    (group.models_directory / "bart-demo" / "MODEL.md").symlink_to(next(directory(group).glob("*.txt")))
    refused(group, "of the models is a link")


def test_a_link_among_unpinned_documents_is_refused(group: Settings) -> None:
    (directory(group) / "link.txt").symlink_to("/etc/passwd")
    refused(approved(group, sha256=None), "of the documents is a link")


@pytest.mark.parametrize("swapped", ["inner/a.txt", "inner"])
def test_a_link_that_takes_the_place_of_what_was_listed_is_not_followed(
    swapped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("mine", "theirs"):
        (tmp_path / owner / "inner").mkdir(parents=True)
        (tmp_path / owner / "inner" / "a.txt").write_text(f"{owner} alone")
    listed = content._files

    def then_swapped(top: int, what: str) -> list[bytes]:
        paths = list(listed(top, what))
        (tmp_path / "mine" / swapped).rename(tmp_path / "away")
        (tmp_path / "mine" / swapped).symlink_to(tmp_path / "theirs" / swapped)
        return paths

    monkeypatch.setattr(content, "_files", then_swapped)
    with pytest.raises(ContentError, match=r"it is a link|cannot be opened"):
        read_content(tmp_path / "mine", "the documents")


def test_a_pipe_does_not_hold_the_group_up(group: Settings) -> None:
    os.mkfifo(directory(group) / "pipe.txt")
    refused(group, "no regular file")


def test_storage_that_answers_differently_the_second_time_changes_nothing(group: Settings) -> None:
    models = Models(group.models_directory, group.models, group.models_sha256, "auto")
    models.start()
    shutil.rmtree(group.models_directory)
    assert models.engine("bart-demo").source_tokens > 0


def test_a_model_that_is_loaded_later_is_held_against_the_pin_again(group: Settings) -> None:
    shutil.copytree(EXAMPLES / "models" / "t5-demo", group.models_directory / "t5-demo")
    pin = read_manifest(group.models_directory).sha256
    models = Models(group.models_directory, ("bart-demo", "t5-demo"), pin, "auto")
    models.start()
    config = group.models_directory / "t5-demo" / "config.json"
    config.write_bytes(config.read_bytes() + b" ")
    with pytest.raises(ContentError, match="differ from what the policy pins"):
        models.engine("t5-demo")


def test_a_folder_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "/".join("d" * 40)).mkdir(parents=True)
    with pytest.raises(ContentError, match="nested deeper"):
        read_content(tmp_path, "the documents")


def test_a_model_cannot_ask_for_longer_summaries_than_the_policy(group: Settings) -> None:
    config = json.loads((group.models_directory / "bart-demo" / "config.json").read_text()) | {
        "min_length": 5000,
        "max_length": 6000,
    }
    made = read_settings({"config.json": json.dumps(config).encode()})
    assert made.bounded_length(60) <= 122
    assert made.least_length(60) <= 122


def test_a_models_file_system_without_a_pin_is_refused() -> None:
    (documents,) = spec()["fileSystems"]
    models = documents | {"name": "models", "role": "Models"}
    with pytest.raises(SpecError, match="pin the models"):
        resource(fileSystems=[documents, models])


@pytest.fixture(scope="module")
def vouched() -> Attested:
    return Attested(datetime(2026, 1, 1, tzinfo=UTC))


RECIPIENT = pyrage.x25519.Identity.generate()
APPROVED, OTHER = "ab" * 32, "cd" * 32


class Container(dict):
    """The blobs, which storage may rename, replace and read."""

    def put(self, name: str, data: bytes) -> None:
        self[name] = data


def results_of(key: ChannelKey, attest) -> Container:
    """What a group with this key and this evidence writes for the owner: two results."""
    blobs = Container()
    desk = EvidenceDesk(attest, key.spki_sha256) if attest is not None else None
    for number in (1, 2):
        made = SealedResults(blobs, str(RECIPIENT.to_public()), key, desk)
        made.write("c" * 64, number, {"summary": f"Summary {number}.", "document": "a.txt"})
    return blobs


def attested_by(service: Attested, key: ChannelKey, host_data: str):
    return lambda data: service.evidence(json.loads(data)["nonce"], host_data, key.spki_sha256)["token"]


def checked(service: Attested, name: str, blob: bytes) -> Result:
    result = Result.open(blob, [RECIPIENT])
    result.check(name, Origin(ATTESTATION, (APPROVED,), service.keys))
    return result


def test_what_the_approved_group_wrote_is_taken(vouched: Attested) -> None:
    key = new_channel_key()
    for name, blob in results_of(key, attested_by(vouched, key, APPROVED)).items():
        assert checked(vouched, name, blob).fields["summary"].startswith("Summary")


def test_results_that_anybody_encrypted_to_the_owner_are_refused(vouched: Attested) -> None:
    """The recipient stands in the policy, so whoever reads it can encrypt to it."""
    for name, blob in results_of(new_channel_key(), None).items():
        with pytest.raises(IntegrityError, match="without evidence"):
            checked(vouched, name, blob)


def test_results_with_the_evidence_of_a_genuine_group_beside_a_strangers_signature_are_refused(vouched) -> None:
    genuine, stranger = new_channel_key(), new_channel_key()
    relayed = vouched.evidence("n" * 43, APPROVED, genuine.spki_sha256)
    desk = EvidenceDesk(lambda _data: relayed["token"], genuine.spki_sha256)
    blobs = Container()
    SealedResults(blobs, str(RECIPIENT.to_public()), stranger, desk).write("c" * 64, 1, {"summary": "Forged."})
    for name, blob in blobs.items():
        with pytest.raises(IntegrityError, match=r"Channel|Report data"):
            checked(vouched, name, blob)


def test_results_that_name_the_groups_key_but_carry_no_signature_of_it_are_refused(vouched: Attested) -> None:
    key = new_channel_key()
    (name, blob), _ = results_of(key, attested_by(vouched, key, APPROVED)).items()
    document = json.loads(pyrage.decrypt(blob, [RECIPIENT]))
    document["result"] = document["result"].replace("Summary 1", "Forgery 1")
    forged = pyrage.encrypt(json.dumps(document).encode(), [RECIPIENT.to_public()])
    with pytest.raises(IntegrityError, match="signature is not of the key"):
        checked(vouched, name, forged)


def test_results_of_a_group_with_another_policy_are_refused(vouched: Attested) -> None:
    key = new_channel_key()
    for name, blob in results_of(key, attested_by(vouched, key, OTHER)).items():
        with pytest.raises(IntegrityError, match="Host-data"):
            checked(vouched, name, blob)


def test_results_vouched_for_by_another_service_are_refused(vouched: Attested) -> None:
    key = new_channel_key()
    own = Attested(vouched.now)
    for name, blob in results_of(key, attested_by(own, key, APPROVED)).items():
        with pytest.raises(IntegrityError, match="Signature"):
            checked(vouched, name, blob)


def test_two_results_that_change_places_are_refused(vouched: Attested) -> None:
    key = new_channel_key()
    (one, first), (two, second) = results_of(key, attested_by(vouched, key, APPROVED)).items()
    for name, blob in ((one, second), (two, first)):
        with pytest.raises(IntegrityError, match="another document"):
            checked(vouched, name, blob)


@pytest.mark.parametrize(
    ("content", "number"),
    [("../../../../", 1), ("/etc/cron.d/", 1), ("c" * 64, -1), ("c" * 64, True), ("c" * 64, 10**300)],
    ids=["up", "absolute", "negative", "no number", "longer than a name can be"],
)
def test_a_result_cannot_say_where_it_is_written(content: object, number: object) -> None:
    """Not even one that nobody checks further (`--unverified`): its digest becomes part of a file's name."""
    text = json.dumps({"contentSHA256": content, "number": number})
    document = {"format": FORMAT, "result": text, "key": "", "signature": "", "evidence": None}
    result = Result.open(pyrage.encrypt(json.dumps(document).encode(), [RECIPIENT.to_public()]), [RECIPIENT])
    name = hashlib.sha256(f"{FORMAT}\0{content}\0{number}".encode(errors="replace")).hexdigest() + ".age"
    with pytest.raises(IntegrityError, match="does not say of which document"):
        result.check(name, None)


def test_a_result_that_cannot_be_written_down_is_none() -> None:
    """It would end `csum results fetch --unverified`, and keep the owner from all that come after it."""
    text = json.dumps({"contentSHA256": "c" * 64, "number": 1, "document": "\ud800"})
    document = {"format": FORMAT, "result": text, "key": "", "signature": "", "evidence": None}
    with pytest.raises(IntegrityError, match="no result of a summarizer"):
        Result.open(pyrage.encrypt(json.dumps(document).encode(), [RECIPIENT.to_public()]), [RECIPIENT])


async def test_a_blob_that_says_to_be_compressed_is_read_as_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to the container: a megabyte would become a gigabyte, and sixteen are read at a time."""
    stored = gzip.compress(bytes(10_000_000))
    headers = {
        "Content-Encoding": "gzip",
        "Content-Length": str(len(stored)),
        "Content-Range": f"bytes 0-{len(stored) - 1}/{len(stored)}",
        "ETag": '"1"',
        "Last-Modified": "Sun, 29 Nov 2026 11:00:00 GMT",
        "x-ms-blob-type": "BlockBlob",
    }

    class Storage(Handler):
        def get(self) -> None:
            self.send_response(206)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(stored)

    with plainly(Storage) as url:
        monkeypatch.setattr(BlobURL, "account_url", url)
        address = BlobURL.parse("https://party2.blob.core.windows.net/results/contracts.img")
        async with BlobFolder(address, None) as folder, SealedBlob(address, None) as blob:
            assert await folder.read("name.age", LARGEST_RESULT) == stored
            assert await blob.head(LARGEST_RESULT) == stored


def test_a_resource_whose_results_would_be_of_unknown_content_is_refused() -> None:
    output = {"blobPrefix": "https://party2.blob.core.windows.net/results/p/", "recipient": str(RECIPIENT.to_public())}
    (documents,) = spec()["fileSystems"]
    with pytest.raises(SpecError, match="output is for file systems with role Documents that have contentSHA256"):
        resource(fileSystems=[documents | {"output": output}])


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Path:
    """The owner's sealed documents and models; the sidecar opens a copy of each."""
    folder = tmp_path_factory.mktemp("sealed")
    for name, source in (("documents", EXAMPLES / "documents"), ("models", EXAMPLES / "models" / "bart-demo")):
        shutil.copytree(source, folder / name / ("bart-demo" if name == "models" else ""), dirs_exist_ok=True)
        seal(folder / name, folder / f"{name}.img", KEY)
    return folder


KEY = bytes(range(32))


def served(sealed: Path, name: str, tmp_path: Path, forged: Path | None = None) -> Path:
    """Open the blob as the encfs sidecar does, with the owner's real key; storage may have swapped its content."""
    image = tmp_path / f"{name}.img"
    shutil.copy(sealed / f"{name}.img", image)
    if forged is not None:
        swap_content(image, forged)
    folder = tmp_path / "remote" / name
    folder.parent.mkdir(exist_ok=True)
    open_image(image, KEY, folder, read_write=False)
    return folder


def mounted(sealed: Path, tmp_path: Path, **forged: Path) -> Settings:
    documents = served(sealed, "documents", tmp_path, forged.get("documents"))
    models = served(sealed, "models", tmp_path, forged.get("models"))
    return Settings(
        documents=(DocumentSet(directory=documents, sha256=read_manifest(sealed / "documents").sha256),),
        models=("bart-demo",),
        models_directory=models,
        models_sha256=read_manifest(sealed / "models").sha256,
        guard="report",
    )


def test_what_the_owner_sealed_is_summarized_from_the_opened_images(sealed: Path, tmp_path: Path) -> None:
    assert run(mounted(sealed, tmp_path))[0].state is State.READY


def test_documents_behind_a_swapped_header_open_with_the_owners_key_and_are_refused(sealed, tmp_path) -> None:
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "forged.txt").write_text("The contract was terminated by both parties on the first of May. " * 30)
    settings = mounted(sealed, tmp_path, documents=forged)
    assert (directory(settings) / "forged.txt").exists(), "the sidecar served what storage put there"
    refused(settings, "the documents are 1 files that differ from what the policy pins")
    unpinned, _jobs = run(approved(settings, sha256=None))
    assert unpinned.state is State.READY, "only the pin refuses it"


def test_a_model_behind_a_swapped_header_is_never_loaded(sealed: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged"
    shutil.copytree(sealed / "models", forged)
    tokenizer = forged / "bart-demo" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"decoder"', '"decoder" ', 1))
    write_manifest(forged / "bart-demo")
    settings = mounted(sealed, tmp_path, models=forged)
    refused(settings, "the models are")
    assert run(settings)[0].models == ()


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        (null_cipher, "the cipher is cipher_null-ecb, not aes-xts-plain64"),
        (
            lambda metadata: metadata["keyslots"]["0"]["area"].update(encryption="cipher_null-ecb"),
            "key slot 0 is encrypted with cipher_null-ecb, not aes-xts-plain64",
        ),
        (
            lambda metadata: metadata["keyslots"]["0"]["kdf"].update(iterations=1),
            "key slot 0 derives its key with pbkdf2 sha256 1, not pbkdf2 sha256 1000",
        ),
        (
            lambda metadata: metadata["keyslots"].update({"1": metadata["keyslots"]["0"]}),
            "it has 2 key slots, not 1: another key opens it",
        ),
        (
            lambda metadata: metadata["digests"]["0"].update(segments=[]),
            "no digest ties the volume key to the data",
        ),
        (
            lambda metadata: metadata["digests"]["0"].update(iterations=1),
            "the digest of the volume key is pbkdf2 sha256 1, not pbkdf2 sha256 1000",
        ),
    ],
    ids=["null cipher", "null key slot", "weak derivation", "second key slot", "no digest", "weak digest"],
)
def test_an_inspection_tells_a_header_that_csum_did_not_make(sealed: Path, tmp_path: Path, change, obstacle) -> None:
    image = tmp_path / "documents.img"
    shutil.copy(sealed / "documents.img", image)
    assert csum("inspect", image).code == 0
    change_header(image, change)
    result = csum("inspect", image, "-o", "json")
    assert (result.code, result.data["obstacles"]) == (1, [obstacle])
