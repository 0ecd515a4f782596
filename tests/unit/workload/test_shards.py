"""An archive in shards: every document once, whoever is killed when, and however many shards there are."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from confidential_summarizer.sealing import read_manifest
from summarizer import models as models_module
from summarizer.batch import create_app
from summarizer.context import Context
from summarizer.errors import OutputError
from summarizer.extraction.reasons import Reason
from summarizer.jobs import Jobs
from summarizer.manifest import write_manifest
from summarizer.progress import Progress, State
from summarizer.settings import DocumentSet, Settings
from summarizer.shard import ShardBy
from summarizer.worker import Worker

DOCUMENTS = 40


class Killed(BaseException):
    """The group ends in the middle of its work."""


class Storage:
    """Keeps results by document; refuses to take one twice, and may kill whoever writes."""

    def __init__(self) -> None:
        self.results: dict[int, dict] = {}
        self.refusals = 0
        self.lives: int | None = None

    def write(self, _content_sha256: str, number: int, result: dict) -> None:
        if self.lives == 0:
            raise Killed
        if self.refusals:
            self.refusals -= 1
            raise OutputError(f"result {number} cannot be written: storage answered 403")
        assert number not in self.results, f"document {number} was made twice"
        self.results[number] = result
        if self.lives is not None:
            self.lives -= 1

    def finished(self, _content_sha256: str, numbers) -> frozenset[int]:
        return frozenset(numbers) & self.results.keys()


@pytest.fixture
def archive(tmp_path: Path, settings: Settings, monkeypatch, lead_engine) -> Settings:
    """A batch over forty documents, whose engine is the plain one of the tests."""
    model = tmp_path / "models" / "lead"
    model.mkdir(parents=True)
    (model / "MODEL.md").write_text("---\nname: Lead\nnotice: It copies.\n---\n")
    write_manifest(model)
    monkeypatch.setattr(models_module, "load_engine", lambda choice, files: lead_engine)
    directory = settings.documents[0].directory
    directory.mkdir()
    for number in range(1, DOCUMENTS + 1):
        (directory / f"{number:03}.txt").write_text(f"Document {number} says this.")
    return settings.model_copy(update={"models": ("lead",)})


def work(archive: Settings, storage: Storage | dict[str, Storage], index: int, shards: int) -> Progress:
    progress = Progress()
    pinned = tuple(
        one.model_copy(update={"sha256": read_manifest(one.directory).sha256}) if one.directory.is_dir() else one
        for one in archive.documents
    )
    mine = {"shards": shards, "shard_index": index, "documents": pinned}
    results = {one.name: storage for one in pinned} if isinstance(storage, Storage) else storage
    Worker(archive.model_copy(update=mine), progress, Jobs(), results, sleep=lambda _: None).start()
    return progress


def counts(progress: Progress) -> tuple[int, int, int, int]:
    count = progress.snapshot.shard
    assert count is not None
    return count.documents, count.before, count.written, count.failed


def test_each_shard_does_its_part_and_together_they_do_all(archive: Settings) -> None:
    storage = Storage()
    for index in range(3):
        done = work(archive, storage, index, 3)
        assert done.snapshot.state is State.READY
        assert done.snapshot.shard is not None
        assert done.snapshot.shard.total == DOCUMENTS
    assert sorted(storage.results) == list(range(1, DOCUMENTS + 1))
    assert {number: result["summary"] for number, result in storage.results.items()} == {
        number: f"Document {number} says this." for number in range(1, DOCUMENTS + 1)
    }


def test_a_killed_shard_goes_on_where_it_was(archive: Settings) -> None:
    storage = Storage()
    for lives in (4, 9):
        storage.lives = lives
        with pytest.raises(Killed):
            work(archive, storage, 0, 2)
    storage.lives = None
    before = len(storage.results)
    assert before >= 4 + 9
    assert counts(work(archive, storage, 0, 2)) == (20, before, 20 - before, 0)
    assert counts(work(archive, storage, 0, 2)) == (20, 20, 0, 0)


def test_another_number_of_shards_makes_no_document_twice(archive: Settings) -> None:
    storage = Storage()
    work(archive, storage, 1, 2)
    for index in range(5):
        assert work(archive, storage, index, 5).snapshot.state is State.READY
    assert len(storage.results) == DOCUMENTS


def with_sales(archive: Settings) -> Settings:
    """Return the batch with a second file system, of five documents."""
    other = archive.documents[0].directory.with_name("sales")
    other.mkdir()
    for number in range(1, 6):
        (other / f"{number}.txt").write_text(f"Sale {number} is done.")
    return archive.model_copy(update={"documents": (*archive.documents, DocumentSet(directory=other))})


def test_a_shard_by_file_system_does_all_of_its_own_and_waits_for_no_other(archive: Settings) -> None:
    both = with_sales(archive).model_copy(update={"shard_by": ShardBy.FILE_SYSTEM})
    first, second = both.documents
    mine, theirs = Storage(), Storage()
    hidden = first.directory.rename(first.directory.with_name("not-mounted-yet"))
    done = work(both, {"documents": mine, "sales": theirs}, 1, 2)
    assert (done.snapshot.state, counts(done)) == (State.READY, (5, 0, 5, 0))
    assert done.snapshot.shard is not None
    assert done.snapshot.shard.total == 5
    hidden.rename(first.directory)
    second.directory.rename(second.directory.with_name("gone"))
    assert counts(work(both, {"documents": mine, "sales": theirs}, 0, 2)) == (DOCUMENTS, 0, DOCUMENTS, 0)
    assert sorted(mine.results) == list(range(1, DOCUMENTS + 1))
    assert sorted(theirs.results) == list(range(1, 6))


def test_a_batch_that_is_switched_between_documents_and_file_systems_makes_no_document_twice(
    archive: Settings,
) -> None:
    both = with_sales(archive)
    results = {"documents": Storage(), "sales": Storage()}
    work(both, results, 0, 2)
    switched = both.model_copy(update={"shard_by": ShardBy.FILE_SYSTEM})
    assert [counts(work(switched, results, index, 2)) for index in range(2)] == [(40, 20, 20, 0), (5, 3, 2, 0)]
    assert [counts(work(both, results, index, 2)) for index in range(2)] == [(23, 23, 0, 0), (22, 22, 0, 0)]


def test_each_owner_of_an_archive_gets_their_own_documents_under_their_own_numbers(archive: Settings) -> None:
    both = with_sales(archive)
    mine, theirs = Storage(), Storage()
    for index in range(2):
        done = work(both, {"documents": mine, "sales": theirs}, index, 2)
    assert done.snapshot.shard is not None
    assert done.snapshot.shard.total == DOCUMENTS + 5
    assert sorted(mine.results) == list(range(1, DOCUMENTS + 1))
    assert {number: result["summary"] for number, result in theirs.results.items()} == {
        number: f"Sale {number} is done." for number in range(1, 6)
    }
    assert counts(work(both, {"documents": mine, "sales": theirs}, 0, 2)) == (23, 23, 0, 0)


def test_more_shards_than_documents_leave_some_with_nothing_to_do(archive: Settings) -> None:
    assert counts(work(archive, Storage(), 49, 50)) == (0, 0, 0, 0)


def test_what_cannot_be_read_gets_a_result_that_says_why(archive: Settings) -> None:
    (archive.documents[0].directory / "000.pdf").write_bytes(b"%PDF broken")
    storage = Storage()
    done = work(archive, storage, 0, 1)
    assert (done.snapshot.state, counts(done)) == (State.READY, (41, 0, 41, 0))
    assert done.snapshot.shard is not None
    assert done.snapshot.shard.refused == 1
    unread = {"document": "000.pdf", "fileSystem": "documents", "reason": Reason.BROKEN, "contentVersion": None}
    assert storage.results[1] == unread


def test_one_document_that_fails_is_counted_and_tried_again_at_the_next_start(
    archive: Settings, lead_engine, monkeypatch
) -> None:
    real = lead_engine.summarize

    def fail(texts, max_words):
        if any("Document 7 " in text for text in texts):
            raise RuntimeError("unforeseen")
        return real(texts, max_words)

    storage = Storage()
    with monkeypatch.context() as broken:
        broken.setattr(lead_engine, "summarize", fail)
        done = work(archive, storage, 0, 1)
    assert (done.snapshot.state, counts(done)) == (State.READY, (40, 0, 39, 1))
    assert counts(work(archive, storage, 0, 1)) == (40, 39, 1, 0)


def test_a_shard_in_which_nothing_works_has_failed(archive: Settings, lead_engine, monkeypatch) -> None:
    def fail(texts, max_words):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(lead_engine, "summarize", fail)
    assert work(archive, Storage(), 0, 2).snapshot.state is State.FAILED


def test_storage_that_is_away_holds_a_shard_up_and_loses_nothing(archive: Settings) -> None:
    storage = Storage()
    storage.refusals = 50
    done = work(archive, storage, 0, 1)
    assert done.snapshot.state is State.READY
    assert len(storage.results) == DOCUMENTS


def test_an_archive_without_a_document_is_an_error_and_no_finished_shard(archive: Settings) -> None:
    for document in archive.documents[0].directory.iterdir():
        document.rename(document.with_suffix(".exe"))
    done = work(archive, Storage(), 0, 2)
    assert done.snapshot.state is State.FAILED
    assert "none of the documents can be read" in done.snapshot.reason


def test_a_shard_shows_its_state_and_evidence_and_no_summary(archive: Settings) -> None:
    context = Context(archive.model_copy(update={"shards": 2, "shard_index": 1}), work(archive, Storage(), 1, 2))
    with TestClient(create_app(context), base_url="https://10.0.0.7:8501") as client:
        shard = client.get("/api/status").json()["shard"]
        assert (shard["index"], shard["shards"], shard["total"], shard["documents"], shard["done"]) == (
            1,
            2,
            40,
            20,
            20,
        )
        assert client.get("/api/evidence?nonce=short").status_code == 400
        for path in ("/", "/api/summaries", "/api/documents", "/api/jobs", "/login"):
            assert client.get(path).status_code == 404
        assert client.post("/api/summarize", json={}).status_code == 404


@pytest.mark.parametrize(("state", "code"), [(State.SUMMARIZING, 200), (State.READY, 200), (State.FAILED, 503)])
def test_a_shard_is_ready_while_it_works(archive: Settings, state: State, code: int) -> None:
    progress = Progress()
    progress.update(state=state)
    context = Context(archive.model_copy(update={"shards": 2, "shard_index": 1}), progress)
    with TestClient(create_app(context), base_url="https://10.0.0.7:8501") as client:
        assert client.get("/readyz").status_code == code
