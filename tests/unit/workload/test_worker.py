import logging
import shutil
from pathlib import Path

import pytest

from confidential_summarizer.sealing import read_manifest
from summarizer import worker as worker_module
from summarizer.errors import OutputError
from summarizer.manifest import write_manifest
from summarizer.progress import Progress, State
from summarizer.settings import Settings
from summarizer.worker import Worker

SECRET = "The secret merger closes on Friday."


@pytest.fixture
def model(tmp_path: Path, monkeypatch, lead_engine) -> Path:
    """A model directory whose engine is the plain one of the tests."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "MODEL.md").write_text("---\nname: lead\nnotice: It copies.\n---\n")
    write_manifest(path)
    monkeypatch.setattr(worker_module, "load_engine", lambda choice, directory: lead_engine)
    return path


class Clock:
    """Sleeps by stepping through what happens outside, one event a poll."""

    def __init__(self, progress: Progress, *events) -> None:
        self.progress, self.events, self.seen = progress, list(events), []

    def __call__(self, seconds: float) -> None:
        self.seen.append(self.progress.snapshot.state)
        if self.events:
            self.events.pop(0)()


def run(settings: Settings, *events) -> tuple[Progress, Clock]:
    progress = Progress()
    clock = Clock(progress, *events)
    Worker(settings, progress, sleep=clock).run()
    return progress, clock


def mount(path: Path, text: str = SECRET):
    def event() -> None:
        hidden = path.parent / ".filesystem-0"
        hidden.mkdir()
        (hidden / "merger.txt").write_text(text)
        path.symlink_to(hidden.name)

    return event


def test_it_waits_for_the_key_and_then_summarizes(settings, model) -> None:
    progress, clock = run(settings, lambda: None, mount(settings.documents))
    snapshot = progress.snapshot
    assert clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY]
    assert snapshot.state is State.READY
    assert [(done.document, done.guarded.summary) for done in snapshot.summaries] == [("Document 1", SECRET)]
    assert (snapshot.engine, snapshot.model.name, snapshot.model.notice) == ("lead", "lead", "It copies.")


def test_past_the_deadline_it_has_failed_but_still_mends_itself(settings, model) -> None:
    settings = settings.model_copy(update={"deadline": 1})
    progress, clock = run(settings, lambda: None, lambda: None, mount(settings.documents))
    assert clock.seen == [State.WAITING_FOR_KEY, State.WAITING_FOR_KEY, State.FAILED]
    assert progress.snapshot.state is State.READY


def test_the_model_may_come_from_a_late_file_system_too(settings, model) -> None:
    kept = model.rename(model.parent / "kept")
    settings.documents.mkdir()
    (settings.documents / "a.txt").write_text(SECRET)
    progress, clock = run(settings, lambda: kept.rename(model))
    assert clock.seen == [State.WAITING_FOR_MODEL]
    assert progress.snapshot.state is State.READY


def test_a_tampered_model_is_never_loaded(settings, model) -> None:
    (model / "MODEL.md").write_text("---\nname: other\n---\n")
    progress, _ = run(settings)
    assert progress.snapshot.state is State.FAILED
    assert "MODEL.md" in progress.snapshot.reason
    assert progress.snapshot.engine == ""


def test_names_are_shown_only_when_the_settings_say_so(settings, model) -> None:
    mount(settings.documents)()
    progress, _ = run(settings.model_copy(update={"show_names": True}))
    assert progress.snapshot.summaries[0].document == "merger.txt"


def test_the_guard_of_the_settings_beats_the_card(settings, model) -> None:
    mount(settings.documents)()
    progress, _ = run(settings.model_copy(update={"guard": "withhold", "guard_run": 5}))
    assert progress.snapshot.summaries[0].guarded.summary == ""
    assert progress.snapshot.summaries[0].guarded.verdict == "Withheld"


def test_an_unforeseen_error_shows_its_type_and_no_text(settings, model, lead_engine, monkeypatch) -> None:
    def fail(texts, max_words):
        raise RuntimeError(f"cannot encode {texts}")

    monkeypatch.setattr(lead_engine, "summarize", fail)
    mount(settings.documents)()
    progress, _ = run(settings)
    assert progress.snapshot.state is State.FAILED
    assert "RuntimeError" in progress.snapshot.reason
    assert "secret" not in progress.snapshot.reason


def test_logs_hold_neither_text_nor_summary_nor_name(settings, model, caplog) -> None:
    mount(settings.documents)()
    with caplog.at_level(logging.DEBUG):
        run(settings)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "summarized" in logged
    assert "merger" not in logged


def test_two_runs_give_the_same_summaries(settings, model) -> None:
    shutil.copytree(Path(__file__).parents[3] / "examples" / "documents", settings.documents)
    first, _ = run(settings)
    second, _ = run(settings)
    assert first.snapshot.summaries == second.snapshot.summaries
    assert len(first.snapshot.summaries) == 3


class Storage:
    """Refuses the first tries, then keeps what it is given."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals, self.written = refusals, {}

    def write(self, content_sha256, number, result) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OutputError(f"result {number} cannot be written: storage answered 403")
        self.written[content_sha256, number] = result


def deliver(settings: Settings, storage: Storage) -> tuple[Progress, Clock]:
    mount(settings.documents)()
    progress = Progress()
    clock = Clock(progress)
    pin = read_manifest(settings.documents).sha256
    settings = settings.model_copy(update={"documents_sha256": pin})
    Worker(settings, progress, storage, sleep=clock).run()
    assert set(storage.written) == {(pin, 1)}
    return progress, clock


def test_the_owner_gets_each_result_with_its_name_before_the_group_is_ready(settings, model) -> None:
    storage = Storage()
    progress, _ = deliver(settings, storage)
    (result,) = storage.written.values()
    assert (result["document"], result["summary"]) == ("merger.txt", SECRET)
    assert result["guard"]["verdict"] == "Passed"
    assert progress.snapshot.state is State.READY
    assert progress.snapshot.summaries[0].document == "Document 1"
    assert "merger.txt" not in repr(progress.snapshot)


def test_a_refused_result_is_a_failure_by_number_that_mends_itself(settings, model) -> None:
    storage = Storage(refusals=6)
    progress, clock = deliver(settings, storage)
    assert clock.seen[:4] == [State.SUMMARIZING] * 3 + [State.FAILED]
    assert len(clock.seen) == 6
    assert progress.snapshot.state is State.READY


def test_a_result_that_cannot_be_written_is_named_by_number(settings, model) -> None:
    reasons = []
    progress = Progress()
    mount(settings.documents)()

    def sleep(seconds: float) -> None:
        reasons.append(progress.snapshot.reason)

    Worker(settings, progress, Storage(refusals=5), sleep=sleep).run()
    assert reasons[-1] == "result 1 cannot be written: storage answered 403"
